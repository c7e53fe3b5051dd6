_base_ = [
    'mmseg::_base_/models/segformer_mit-b0.py',
    '../_base_/datasets/fmb_segmentation.py',
    '../_base_/schedules/segmentation_40k.py',
    'mmseg::_base_/default_runtime.py',
]

pretrained = 'work_dirs/defusion_pretrain/weights.pth'
data_preprocessor = dict(
    _delete_=True,
    type='mmdefusion.PairedSegDataPreProcessor',
    size=_base_.crop_size,
    test_cfg=dict(size_divisor=32),
)
model = dict(
    data_preprocessor=data_preprocessor,
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='mmdefusion.DeFusionViT',
        arch='tiny',
        num_sources=2,
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained, prefix='backbone.'),
    ),
    neck=dict(type='mmdefusion.FusedFeaturePyramid', in_channels=192),
    decode_head=dict(in_channels=[192] * 4, num_classes=14),
)
visualizer = _base_.pair_visualizer
