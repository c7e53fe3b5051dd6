# FMB: streets, 800x600, 1220 pairs for training and 280 for testing. Label 0 is nothing and left out.
# There is no validation split: training is validated on the test split, the last checkpoint is the result.
#
# python tools/dataset_converters/segmentation_pairs.py fmb PUBLISHED -o data/fmb
#
# data/fmb
# └── {train,test}/{vi,ir,labels}/NAME.png
_base_ = './msrs_pairs.py'

pair_set = dict(
    data_root='data/fmb/',
    reduce_zero_label=True,
    metainfo=dict(
        classes=(
            'road',
            'sidewalk',
            'building',
            'traffic light',
            'traffic sign',
            'vegetation',
            'sky',
            'person',
            'car',
            'truck',
            'bus',
            'motorcycle',
            'bicycle',
            'pole',
        ),
        palette=[
            [128, 64, 128],
            [244, 35, 232],
            [70, 70, 70],
            [250, 170, 30],
            [220, 220, 0],
            [107, 142, 35],
            [70, 130, 180],
            [220, 20, 60],
            [0, 0, 142],
            [0, 0, 70],
            [0, 60, 100],
            [0, 0, 230],
            [119, 11, 32],
            [153, 153, 153],
        ],
    ),
)
train_set = dict(
    **pair_set,
    pipeline=[
        *_base_.train_set.pipeline[:3],
        dict(type='RandomResize', scale=(800, 600), ratio_range=(0.5, 2.0), keep_ratio=True),
        *_base_.train_set.pipeline[4:],
    ],
)
val_set = pair_set
test_set = val_set
