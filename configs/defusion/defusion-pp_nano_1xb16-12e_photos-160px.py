# Pretraining on a CPU: the nano network on a folder of a few thousand photos, bfloat16, 12 epochs.
#
# data/photos
# └── *.jpg        every 20th photo, in the order of their names, is held out for validation
_base_ = [
    '../_base_/models/defusion-pp_nano.py',
    '../_base_/datasets/coco_cud.py',
    '../_base_/default_runtime.py',
]

data_root = 'data/photos/'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=160, crop_ratio_range=(0.25, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    # Noise is bright. Without negatives, and nights with lamps, whatever is bright would be taken for noise.
    dict(type='RandomInvert', prob=0.5),
    # Brightness as published: pairs taken at night are as dark. Contrast is milder than its 0.1 to 1.
    dict(
        type='PhotometricJitter',
        brightness=(0.1, 1.0),
        contrast=(0.5, 1.0),
        saturation=(0.1, 1.0),
        gamma=(0.5, 4.0),
    ),
    # Cells as large as in crops of 224 pixels.
    dict(type='RandomCUDMasks', coarse=9, fine=(18, 19)),
    dict(type='PackFusionInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(img_path=''),
        subset='train',
        indices=None,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(data_root=data_root, data_prefix=dict(img_path=''), subset='val', indices=None),
)

test_dataloader = val_dataloader

max_epochs = 12
optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='bfloat16',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01),
    # The full-resolution path has larger gradients than the tokens.
    clip_grad=dict(max_norm=20),
    # Queries stay near zero, where the stronger detail and the brighter source win, unless a view is clearly degraded:
    # trained freely they distrust whatever is unlike a clean photo, such as infrared images.
    paramwise_cfg=dict(
        custom_keys={
            'neck.fused': dict(lr_mult=0.5),
            'base_query': dict(lr_mult=0.5, decay_mult=8000.0),
            'gradient_query': dict(lr_mult=0.5, decay_mult=25000.0),
        }
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=100),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, eta_min=1e-5, convert_to_iter_based=True),
]
train_cfg = dict(type='ResumableTrainLoop', max_epochs=max_epochs, val_interval=1)
# Validation in bfloat16 as well.
val_cfg = dict(type='ValLoop', fp16=True)
test_cfg = dict(type='TestLoop', fp16=True)
auto_scale_lr = dict(enable=False, base_batch_size=16)

default_hooks = dict(logger=dict(interval=20))
custom_hooks = [
    dict(type='ReproducibleRunHook'),
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.002, gamma=100),
]
