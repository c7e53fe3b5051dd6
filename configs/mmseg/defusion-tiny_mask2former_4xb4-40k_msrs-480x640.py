# Needs MMDetection as well. The stock config brings data and schedule of its own, which are replaced here.
_base_ = 'mmseg::mask2former/mask2former_r50_8xb2-90k_cityscapes-512x1024.py'

pretrained = 'work_dirs/defusion_pretrain/weights.pth'
num_classes = 9
crop_size = (480, 640)
data_preprocessor = dict(
    _delete_=True, type='mmdefusion.PairedSegDataPreProcessor', size=crop_size, test_cfg=dict(size_divisor=32)
)
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(
        _delete_=True,
        type='mmdefusion.DeFusionViT',
        arch='tiny',
        num_sources=2,
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained, prefix='backbone.'),
    ),
    neck=dict(type='mmdefusion.FusedFeaturePyramid', in_channels=192),
    decode_head=dict(
        in_channels=[192] * 4,
        num_classes=num_classes,
        loss_cls=dict(class_weight=[1.0] * num_classes + [0.1]),
    ),
)

load_pair = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdefusion.LoadPairedImage', path_map=('/vi/', '/ir/')),
]
train_pipeline = [
    *load_pair,
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(640, 480), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmdefusion.ApplyToSource', index=0, transforms=[dict(type='PhotoMetricDistortion')]),
    dict(type='PackSegInputs'),
]
test_pipeline = [*load_pair, dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
tta_pipeline = [
    *load_pair,
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale_factor=ratio, keep_ratio=True) for ratio in (0.75, 1.0, 1.25)],
            *_base_.tta_pipeline[-1].transforms[1:],
        ],
    ),
]
metainfo = dict(
    classes=('unlabelled', 'car', 'person', 'bike', 'curve', 'car stop', 'guardrail', 'cone', 'bump'),
    palette=[
        [0, 0, 0],
        [64, 0, 128],
        [64, 64, 0],
        [0, 128, 192],
        [0, 0, 192],
        [128, 128, 0],
        [64, 64, 128],
        [192, 128, 128],
        [192, 64, 0],
    ],
)
dataset = dict(type='BaseSegDataset', data_root='data/msrs/', img_suffix='.png', metainfo=metainfo, _delete_=True)
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    dataset=dict(
        **dataset, data_prefix=dict(img_path='train/vi', seg_map_path='train/labels'), pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path='test/vi', seg_map_path='test/labels'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader

max_iters = 40000
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin=0, end=max_iters)]
train_cfg = dict(max_iters=max_iters, val_interval=4000)
default_hooks = dict(checkpoint=dict(interval=4000))
