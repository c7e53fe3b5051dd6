_base_ = [
    'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
    '../_base_/datasets/flir-aligned_detection.py',
    '../_base_/schedules/vit_layer_decay.py',
]

pretrained = 'work_dirs/defusion_pretrain/weights.pth'
model = dict(
    data_preprocessor=dict(
        type='mmdefusion.PairedDetDataPreprocessor', mean=[0.0] * 6, std=[255.0] * 6, bgr_to_rgb=True
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
        dict(_base_.model.neck, in_channels=[192] * 3, start_level=0),
    ],
    bbox_head=dict(num_classes=_base_.num_classes),
)
optim_wrapper = dict(_delete_=True, **_base_.vit_optim_wrapper)
default_hooks = dict(checkpoint=dict(type='mmdefusion.AtomicCheckpointHook', save_best='coco/bbox_mAP'))

train_dataloader = dict(dataset=_base_.train_set)
val_dataloader = dict(dataset=_base_.val_set)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=_base_.val_ann_file)
test_evaluator = val_evaluator
tta_pipeline = _base_.pair_tta_pipeline
visualizer = _base_.pair_visualizer
