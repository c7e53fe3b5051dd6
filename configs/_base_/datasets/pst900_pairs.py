# PST900: underground, 1280x720, 597 pairs for training and 288 for testing.
# There is no validation split: training is validated on the test split, the last checkpoint is the result.
#
# python tools/dataset_converters/segmentation_pairs.py pst900 PUBLISHED -o data/pst900
#
# data/pst900
# └── {train,test}/{vi,ir,labels}/NAME.png
_base_ = './msrs_pairs.py'

pair_crop_size = (640, 640)
pair_set = dict(
    data_root='data/pst900/',
    metainfo=dict(
        classes=('background', 'fire extinguisher', 'backpack', 'hand drill', 'survivor'),
        palette=[
            [0, 0, 0],
            [0, 0, 255],
            [0, 255, 0],
            [255, 0, 0],
            [255, 255, 255],
        ],
    ),
)
train_set = dict(
    **pair_set,
    pipeline=[
        *_base_.train_set.pipeline[:3],
        dict(type='RandomResize', scale=(1280, 720), ratio_range=(0.5, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_size=pair_crop_size, cat_max_ratio=0.75),
        *_base_.train_set.pipeline[5:],
    ],
)
val_set = pair_set
test_set = val_set
