# An infrared teacher of the published size. Nobody publishes one; this makes it from any folder of infrared images.
#
# data/infrared
# └── *.png        also in folders below; every 20th image, in the order of their names, is held out for validation
#
# Not run: 8 GPUs and a large collection of infrared images were not at hand.
_base_ = [
    '../_base_/models/mae_vit-base.py',
    '../_base_/datasets/photos_mae.py',
    '../_base_/schedules/mae_400e.py',
    '../_base_/default_runtime.py',
]

data_root = 'data/infrared/'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.2, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackFusionInputs'),
]
val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(224, 224)),
    dict(type='PackFusionInputs'),
]
train_dataloader = dict(num_workers=4, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(num_workers=4, dataset=dict(data_root=data_root, pipeline=val_pipeline))
test_dataloader = val_dataloader

default_hooks = dict(
    checkpoint=dict(interval=10, save_best='psnr_masked'),
    # There are no pairs to fuse.
    visualization=dict(pair_dataset=None),
)
