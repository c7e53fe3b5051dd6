# MSRS for few labels: the 120 pairs named in splits/msrs_{train,val}.txt of the MSRS test split. Persons and cars.
# Training: boxes around the regions of masks that a segmentation network predicted, so results are agreement with such
# boxes where they are wrong. Testing: official boxes, which 19 of the validation pairs have.
#
# data/MSRS_pseudo
# ├── vi/00004N.png, ir/00004N.png ...
# ├── pseudo_labels/00004N.png ...      masks: 1 car, 2 person
# ├── boxes/00131D.txt ...              YOLO: 0 person, 2 car
# ├── train.txt, val.txt
# └── annotations/{visible,infrared}_{train,test}.json      see configs/mmdet/evidence/README.md
#
# Only data_root has to be set where the data lie elsewhere: the metric takes its boxes from the dataset.
data_root = 'data/MSRS_pseudo/'
metainfo = dict(classes=('person', 'car'), palette=[(220, 20, 60), (0, 0, 230)])
img_scale = (640, 480)
crop_size = (240, 320)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdefusion.LoadPairedImage'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=img_scale, ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, allow_negative_crop=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdefusion.LoadPairedImage'),
    dict(type='Resize', scale=img_scale, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances'),
    ),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/visible_train.json',
        data_prefix=dict(img=''),
        metainfo=metainfo,
        filter_cfg=dict(filter_empty_gt=False),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/visible_test.json',
        data_prefix=dict(img=''),
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', metric='bbox')
test_evaluator = val_evaluator
