# PST900: underground, 1280x720, 597 pairs for training and 288 for testing.
# There is no validation split: training is validated on the test split, the last checkpoint is the result.
#
# python tools/dataset_converters/segmentation_pairs.py pst900 PUBLISHED -o data/pst900
#
# data/pst900
# └── {train,test}/{vi,ir,labels}/NAME.png
_base_ = './msrs_segmentation.py'

crop_size = (640, 640)
train_pipeline = [
    *_base_.train_pipeline[:3],
    dict(type='RandomResize', scale=(1280, 720), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    *_base_.train_pipeline[5:],
]
dataset = dict(
    data_root='data/pst900/',
    metainfo=dict(
        _delete_=True,
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
train_dataloader = dict(dataset=dict(**dataset, pipeline=train_pipeline))
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
