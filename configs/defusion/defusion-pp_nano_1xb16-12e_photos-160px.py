# Pretraining on a CPU: the nano network on a folder of a few thousand photos, 12 epochs.
#
# data/photos
# └── *.jpg        every 20th photo, in the order of their names, is held out for validation
_base_ = [
    '../_base_/models/defusion-pp_nano.py',
    '../_base_/datasets/coco_cud.py',
    '../_base_/datasets/photo_pipeline_160px.py',
    '../_base_/cpu_runtime.py',
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
# The full-resolution path has larger gradients than the tokens.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'neck.fused': dict(lr_mult=0.5)}))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=100),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, eta_min=1e-5, convert_to_iter_based=True),
]
train_cfg = dict(type='ResumableTrainLoop', max_epochs=max_epochs, val_interval=1)

custom_hooks = [
    dict(type='ReproducibleRunHook'),
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.002, gamma=100),
]
