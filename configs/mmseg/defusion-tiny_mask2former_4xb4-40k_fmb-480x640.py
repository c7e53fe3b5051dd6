_base_ = './defusion-tiny_mask2former_4xb4-40k_msrs-480x640.py'

num_classes = 14
model = dict(
    decode_head=dict(num_classes=num_classes, loss_cls=dict(class_weight=[1.0] * num_classes + [0.1])),
)
metainfo = dict(
    _delete_=True,
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
)
train_pipeline = [
    *_base_.train_pipeline[:3],
    dict(type='RandomResize', scale=(800, 600), ratio_range=(0.5, 2.0), keep_ratio=True),
    *_base_.train_pipeline[4:],
]
dataset = dict(data_root='data/fmb/', metainfo=metainfo, reduce_zero_label=True)
train_dataloader = dict(dataset=dict(**dataset, pipeline=train_pipeline))
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
