# What the features of a pair are worth with few labels: nano backbone, 89 pairs with pseudo-labels, one CPU core.
# The five variants beside this file inherit from it; tools/analysis_tools/compare_downstream.py runs them.
_base_ = ['../../_base_/datasets/msrs-pseudo_segmentation.py', 'mmseg::_base_/default_runtime.py']

model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='mmdefusion.PairedSegDataPreProcessor', size=_base_.crop_size, test_cfg=dict(size_divisor=32)
    ),
    # All parts of the decomposition: a linear map of them agrees better than one of the fused features alone.
    backbone=dict(type='mmdefusion.DeFusionViT', arch='nano', num_sources=2, out_type='concat', out_details=(8,)),
    # Each channel scaled on its own, as linear probes of masked autoencoders do: spreads of tokens differ by orders.
    neck=dict(
        type='mmdefusion.FusedFeaturePyramid',
        in_channels=4 * 192,
        out_channels=128,
        detail_channels=(128,),
        out_strides=(8,),
        norm_cfg=dict(type='BN'),
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=128,
        in_index=0,
        channels=128,
        num_convs=1,
        kernel_size=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=9,
        norm_cfg=dict(type='GN', num_groups=8),
        act_cfg=dict(type='GELU'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)

max_iters = 320
optim_wrapper = dict(
    type='mmdefusion.AutocastOptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, betas=(0.9, 0.99), weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
    # So few steps are enough for neck and head only if they are large.
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys=dict(neck=dict(lr_mult=4.0), decode_head=dict(lr_mult=10.0)),
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=20),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=20, end=max_iters),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=80)
val_cfg = dict(type='mmdefusion.AutocastValLoop')
test_cfg = dict(type='mmdefusion.AutocastTestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=10, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=max_iters),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
)
randomness = dict(seed=0)
