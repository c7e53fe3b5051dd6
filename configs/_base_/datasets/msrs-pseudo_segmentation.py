# 120 pairs of the MSRS test split, 640x480, with labels that the published MFNet network predicted from both images.
# They are pseudo-labels: what is measured on them is agreement with MFNet, never the quality on MSRS.
#
# data/MSRS_pseudo
# ├── vi/00004N.png ...
# ├── ir/00004N.png ...
# └── pseudo_labels/00004N.png ...      0 unlabelled to 8 bump
#
# splits/msrs_{train,val}.txt: 89 and 31 pairs.
dataset_type = 'BaseSegDataset'
data_root = 'data/MSRS_pseudo/'
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
scale = (640, 480)
crop_size = (240, 320)
load_pair = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdefusion.LoadPairedImage', path_map=('/vi/', '/ir/')),
]
train_pipeline = [
    *load_pair,
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.9),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmdefusion.ApplyToSource', index=0, transforms=[dict(type='PhotoMetricDistortion')]),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    *load_pair,
    dict(type='Resize', scale=scale, keep_ratio=True),
    # After the resize: what the network says is scaled back and compared in the labels' own size.
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='vi', seg_map_path='pseudo_labels'),
        ann_file='{{ fileDirname }}/splits/msrs_train.txt',
        img_suffix='.png',
        metainfo=metainfo,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='vi', seg_map_path='pseudo_labels'),
        ann_file='{{ fileDirname }}/splits/msrs_val.txt',
        img_suffix='.png',
        metainfo=metainfo,
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
