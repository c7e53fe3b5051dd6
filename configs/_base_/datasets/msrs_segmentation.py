# MSRS: streets by day and night, 640x480, 1083 pairs for training and 361 for testing.
# There is no validation split: training is validated on the test split, the last checkpoint is the result.
#
# python tools/dataset_converters/segmentation_pairs.py msrs PUBLISHED -o data/msrs
#
# data/msrs
# └── {train,test}/{vi,ir,labels}/NAME.png
crop_size = (480, 640)
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
            [
                dict(type='RandomFlip', prob=0.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
            ],
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')],
        ],
    ),
]
dataset = dict(
    type='BaseSegDataset',
    data_root='data/msrs/',
    img_suffix='.png',
    metainfo=dict(
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
    ),
)
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **dataset, data_prefix=dict(img_path='train/vi', seg_map_path='train/labels'), pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path='test/vi', seg_map_path='test/labels'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
