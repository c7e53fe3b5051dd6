# MSRS: streets by day and night, 640x480, 1083 pairs for training and 361 for testing.
# There is no validation split: training is validated on the test split, the last checkpoint is the result.
#
# python tools/dataset_converters/segmentation_pairs.py msrs PUBLISHED -o data/msrs
#
# data/msrs
# └── {train,test}/{vi,ir,labels}/NAME.png
#
# These names are none of mmseg's, so that any of its configs can stand beside this file.
pair_crop_size = (480, 640)
load_pair = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdefusion.LoadPairedImage', path_map=('/vi/', '/ir/')),
]
pair_set = dict(
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
train_set = dict(
    **pair_set,
    data_prefix=dict(img_path='train/vi', seg_map_path='train/labels'),
    pipeline=[
        *load_pair,
        dict(type='LoadAnnotations'),
        dict(type='RandomResize', scale=(640, 480), ratio_range=(0.5, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_size=pair_crop_size, cat_max_ratio=0.75),
        dict(type='RandomFlip', prob=0.5),
        dict(type='mmdefusion.ApplyToSource', index=0, transforms=[dict(type='PhotoMetricDistortion')]),
        dict(type='PackSegInputs'),
    ],
)
val_set = dict(
    **pair_set,
    data_prefix=dict(img_path='test/vi', seg_map_path='test/labels'),
    pipeline=[*load_pair, dict(type='LoadAnnotations'), dict(type='PackSegInputs')],
    test_mode=True,
)
test_set = val_set
pair_tta_pipeline = [
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
pair_visualizer = dict(type='mmdefusion.PairedSegLocalVisualizer', path_map=('/vi/', '/ir/'))
