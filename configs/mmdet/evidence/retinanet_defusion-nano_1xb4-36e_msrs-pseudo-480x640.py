# What the features of a pair are worth with few boxes: nano backbone, a small RetinaNet, 89 pairs, one CPU core.
# The five variants beside this file inherit from it; tools/analysis_tools/compare_downstream.py runs them.
_base_ = [
    'mmdet::_base_/models/retinanet_r50_fpn.py',
    '../../_base_/datasets/msrs-pseudo_detection.py',
    'mmdet::_base_/default_runtime.py',
]

norm_cfg = dict(type='GN', num_groups=8)
model = dict(
    data_preprocessor=dict(type='mmdefusion.PairedDetDataPreprocessor', mean=[0.0] * 6, std=[255.0] * 6),
    backbone=dict(
        _delete_=True, type='mmdefusion.DeFusionViT', arch='nano', num_sources=2, out_type='concat', out_details=(8,)
    ),
    # Each channel scaled on its own, as linear probes of masked autoencoders do: spreads of tokens differ by orders.
    neck=[
        dict(
            type='mmdefusion.FusedFeaturePyramid',
            in_channels=4 * 192,
            out_channels=128,
            detail_channels=(128,),
            out_strides=(8, 16, 32),
            norm_cfg=dict(type='BN'),
        ),
        dict(type='FPN', in_channels=[128] * 3, out_channels=64, num_outs=3, norm_cfg=norm_cfg),
    ],
    bbox_head=dict(
        num_classes=2,
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        norm_cfg=norm_cfg,
        anchor_generator=dict(octave_base_scale=4, ratios=[0.5, 1.0, 2.5], strides=[8, 16, 32]),
    ),
    # Learned from so few labels, boxes of one object are far apart.
    test_cfg=dict(nms=dict(iou_threshold=0.3)),
)

max_epochs = 36
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=6)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='mmdefusion.AutocastOptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, betas=(0.9, 0.99), weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
    # So few steps are enough for neck and head only if they are large.
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys=dict(neck=dict(lr_mult=4.0), bbox_head=dict(lr_mult=4.0)),
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(
        type='CosineAnnealingLR', by_epoch=True, begin=0, end=max_epochs, T_max=max_epochs, convert_to_iter_based=True
    ),
]
# Neck and head learn to read the features, pretrained or random, before these are trained with them.
custom_hooks = [dict(type='mmdefusion.FreezeBackboneHook', end=9)]
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=max_epochs),
    visualization=dict(type='DetVisualizationHook'),
)
visualizer = dict(type='mmdefusion.PairedDetLocalVisualizer')
randomness = dict(seed=0)
