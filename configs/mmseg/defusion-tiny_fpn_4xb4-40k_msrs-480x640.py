_base_ = [
    'mmseg::_base_/models/fpn_r50.py',
    '../_base_/datasets/msrs_segmentation.py',
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
    neck=[
        dict(type='mmdefusion.FusedFeaturePyramid', in_channels=192),
        dict(type='FPN', in_channels=[192] * 4, out_channels=256, num_outs=4),
    ],
    decode_head=dict(num_classes=9),
)
visualizer = _base_.pair_visualizer
