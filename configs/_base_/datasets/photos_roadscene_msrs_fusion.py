# Every task at once: photos for decomposition, infrared-visible training pairs, and pairs of different focus and of
# different exposure made from the photos. Validated on the 22 pairs of RoadScene that models may be selected on.
#
# data
# ├── photos/*.jpg                         every 20th, in the order of their names, is held out
# ├── RoadScene/{vi,ir}/FLIR_00006.jpg     149 pairs (splits/roadscene_train.txt)
# └── MSRS/test/{vi,ir}/00004N.png         89 pairs (splits/msrs_train.txt)
#
# An epoch is 100 batches; every kind goes on from epoch to epoch.
_base_ = 'photo_pipeline_160px.py'

# Fusion works on luma as a rule, and on colours where a user asks for it.
to_luma = dict(type='RandomApply', transforms=[dict(type='SourcesToLuma')], prob=0.75)
# Crops end within a patch and within a window, as most images do. One size for pairs of all kinds: a network knows how
# its image is padded, and would tell the kinds by that.
crop_size = 136
pair_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPairedImage'),
    # Half of them about as large as they are, which the fused image is to be as well, half of them a part of the scene
    # up to all of it, over which brightness has to be consistent.
    dict(
        type='RandomChoice',
        transforms=[
            [dict(type='RandomResizedCrop', scale=crop_size, crop_ratio_range=(0.02, 0.15))],
            [dict(type='RandomResizedCrop', scale=crop_size, crop_ratio_range=(0.15, 1.0))],
        ],
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='SourcesToLuma'),
    dict(type='PackFusionInputs'),
]
focus_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=crop_size, crop_ratio_range=(0.25, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    # A crop shows a part of the picture, whose blur is larger beside it.
    dict(type='RandomMultiFocusPair', max_radius=(0.008, 0.05)),
    to_luma,
    dict(type='PackFusionInputs'),
]
exposure_pipeline = [
    dict(type='LoadImageFromFile'),
    # Up to twice as large as the photos are: pictures of a tripod have larger regions, and less noise.
    dict(type='RandomResizedCrop', scale=crop_size, crop_ratio_range=(0.1, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomMultiExposurePair', full_well=(4e3, 4e5)),
    to_luma,
    dict(type='PackFusionInputs'),
]

photos = dict(
    type='ImageFolderDataset', data_root='data/photos/', data_prefix=dict(img_path=''), subset='train', kind='photo'
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
    batch_sampler=dict(type='AlternatingBatchSampler', ratio=(1, 4, 1, 2), num_batches=100),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(**photos, pipeline={{_base_.photo_pipeline}}),
            dict(type='ConcatDataset', datasets=[roadscene, msrs]),
            {**photos, 'kind': 'multi_focus', 'pipeline': focus_pipeline},
            {**photos, 'kind': 'multi_exposure', 'pipeline': exposure_pipeline},
        ],
        ignore_keys=['dataset_type', 'task_name'],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PairedImageDataset',
        data_root='data/RoadScene/',
        ann_file='{{ fileDirname }}/splits/roadscene_val.txt',
        data_prefix=dict(img_path='vi', partner_path='ir'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadPairedImage'),
            dict(type='SourcesToLuma'),
            dict(type='PackFusionInputs'),
        ],
        test_mode=True,
    ),
)
# A list: MMEngine takes a dict with `metrics` for an evaluator.
val_evaluator = [dict(type='FusionMetric', metrics=['MI', 'SCD', 'VIF', 'Qabf', 'SSIM'])]

test_dataloader = val_dataloader
test_evaluator = val_evaluator
