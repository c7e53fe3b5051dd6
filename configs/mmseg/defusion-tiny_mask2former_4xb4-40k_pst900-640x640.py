_base_ = './defusion-tiny_mask2former_4xb4-40k_msrs-480x640.py'

num_classes = 5
crop_size = (640, 640)
data_preprocessor = dict(size=crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    decode_head=dict(num_classes=num_classes, loss_cls=dict(class_weight=[1.0] * num_classes + [0.1])),
)
metainfo = dict(
    _delete_=True,
    classes=('background', 'fire extinguisher', 'backpack', 'hand drill', 'survivor'),
    palette=[
        [0, 0, 0],
        [0, 0, 255],
        [0, 255, 0],
        [255, 0, 0],
        [255, 255, 255],
    ],
)
train_pipeline = [
    *_base_.train_pipeline[:3],
    dict(type='RandomResize', scale=(1280, 720), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    *_base_.train_pipeline[5:],
]
dataset = dict(data_root='data/pst900/', metainfo=metainfo)
train_dataloader = dict(dataset=dict(**dataset, pipeline=train_pipeline))
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
