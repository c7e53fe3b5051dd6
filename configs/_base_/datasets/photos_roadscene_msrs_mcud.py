# Multi-modal decomposition on a CPU: photos, and the training pairs of RoadScene and of a part of MSRS.
#
# data
# ├── photos/*.jpg                         every 20th, in the order of their names, is held out for validation
# ├── RoadScene/{vi,ir}/FLIR_00006.jpg     149 pairs (splits/roadscene_train.txt)
# └── MSRS/test/{vi,ir}/00004N.png         89 pairs (splits/msrs_train.txt)
#
# One batch of photos, one of pairs. An epoch is 100 batches; both go on from epoch to epoch.
_base_ = 'photo_pipeline_160px.py'

pair_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPairedImage'),
    dict(type='RandomResizedCrop', scale=160, crop_ratio_range=(0.25, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    # Fusion is tested on gray sources and used on colour ones.
    dict(type='RandomApply', transforms=[dict(type='SourcesToLuma')], prob=0.5),
    dict(type='PackFusionInputs'),
]
val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(224, 224)),
    dict(type='RandomCUDMasks'),
    dict(type='PackFusionInputs'),
]

photos = dict(
    type='ImageFolderDataset',
    kind='photo',
    data_root='data/photos/',
    data_prefix=dict(img_path=''),
    subset='train',
    pipeline={{_base_.photo_pipeline}},
)
roadscene = dict(
    type='PairedImageDataset',
    kind='infrared_visible',
    data_root='data/RoadScene/',
    ann_file='{{ fileDirname }}/splits/roadscene_train.txt',
    data_prefix=dict(img_path='vi', partner_path='ir'),
    pipeline=pair_pipeline,
)
msrs = dict(
    type='PairedImageDataset',
    kind='infrared_visible',
    data_root='data/MSRS/test/',
    ann_file='{{ fileDirname }}/splits/msrs_train.txt',
    data_prefix=dict(img_path='vi', partner_path='ir'),
    pipeline=pair_pipeline,
)

train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AlternatingBatchSampler', ratio=(1, 1), num_batches=100),
    dataset=dict(
        type='ConcatDataset',
        datasets=[photos, dict(type='ConcatDataset', datasets=[roadscene, msrs])],
        ignore_keys=['dataset_type', 'task_name'],
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ImageFolderDataset',
        data_root='data/photos/',
        data_prefix=dict(img_path=''),
        subset='val',
        pipeline=val_pipeline,
        test_mode=True,
    ),
)
val_evaluator = dict(type='ReconstructionMetric', keys=('fused', 'masked'))

test_dataloader = val_dataloader
test_evaluator = val_evaluator
