_base_ = [
    'mmdet::rtmdet/rtmdet_s_8xb32-300e_coco.py',
    '../_base_/datasets/llvip_detection.py',
]

pretrained = 'work_dirs/defusion_pretrain/weights.pth'
model = dict(
    # Its neck takes sizes that 32 divides only, and without Mosaic images have any size.
    data_preprocessor=dict(
        type='mmdefusion.PairedDetDataPreprocessor',
        mean=[0.0] * 6,
        std=[255.0] * 6,
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        _delete_=True,
        type='mmdefusion.DeFusionViT',
        arch='tiny',
        num_sources=2,
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained, prefix='backbone.'),
    ),
    neck=[
        dict(type='mmdefusion.FusedFeaturePyramid', in_channels=192, out_strides=(8, 16, 32)),
        dict(_base_.model.neck, in_channels=[192] * 3),
    ],
    bbox_head=dict(num_classes=_base_.num_classes),
)
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    constructor='mmdefusion.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.8),
)
# Without the second stage of augmentation: Mosaic and MixUp take images of three channels only.
custom_hooks = [_base_.custom_hooks[0], dict(type='mmdefusion.StopOnInvalidLossHook')]
default_hooks = dict(checkpoint=dict(type='mmdefusion.AtomicCheckpointHook', save_best='coco/bbox_mAP'))

train_dataloader = dict(dataset=_base_.train_set)
val_dataloader = dict(dataset=_base_.val_set)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=_base_.val_ann_file)
test_evaluator = val_evaluator
tta_pipeline = _base_.pair_tta_pipeline
visualizer = _base_.pair_visualizer
