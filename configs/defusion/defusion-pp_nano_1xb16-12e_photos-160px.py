# Pretraining on a CPU: the nano network on a folder of a few thousand photos, bfloat16, 12 epochs.
#
# data/photos
# └── *.jpg        every 20th photo, in the order of their names, is held out for validation
_base_ = [
    '../_base_/models/defusion-pp_nano.py',
    '../_base_/datasets/coco_cud.py',
    '../_base_/datasets/photo_pipeline_160px.py',
    '../_base_/default_runtime.py',
]

data_root = 'data/photos/'

train_pipeline = {{_base_.photo_pipeline}}

# The queries that choose between sources are left to adaptation to pairs. In views of photos they find what is unlike a
# clean photo: noise, which is bright, and so they learn to distrust whatever is bright, and infrared images.
model = dict(neck=dict(frozen_queries=True))

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
    paramwise_cfg=dict(custom_keys={'neck.fused': dict(lr_mult=0.5)}),
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
