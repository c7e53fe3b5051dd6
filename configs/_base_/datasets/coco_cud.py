# Pretraining on COCO: the first 50,000 photos of train2017, validation on the first 1,000 of val2017.
#
# data/coco
# ├── train2017/000000000009.jpg ...
# └── val2017/000000000139.jpg ...
data_root = 'data/coco/'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.2, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotometricJitter', brightness=(0.1, 1.0), contrast=(0.1, 1.0), saturation=(0.1, 1.0)),
    dict(type='RandomCUDMasks'),
    dict(type='PackFusionInputs'),
]
val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(224, 224)),
    dict(type='RandomCUDMasks'),
    dict(type='PackFusionInputs'),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='ImageFolderDataset',
        data_root=data_root,
        data_prefix=dict(img_path='train2017/'),
        subset='all',
        indices=50000,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ImageFolderDataset',
        data_root=data_root,
        data_prefix=dict(img_path='val2017/'),
        subset='all',
        indices=1000,
        pipeline=val_pipeline,
        test_mode=True,
    ),
)
val_evaluator = dict(type='ReconstructionMetric', keys=('fused', 'masked'))

test_dataloader = val_dataloader
test_evaluator = val_evaluator
