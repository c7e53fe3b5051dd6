# Multi-modal decomposition as published: the photos of COCO train2017 and the 1,083 training pairs of MSRS in turn.
#
# data
# ├── coco
# │   ├── train2017/000000000009.jpg ...
# │   └── val2017/000000000139.jpg ...
# └── MSRS/train
#     ├── vi/00001D.png ...
#     └── ir/00001D.png ...
#
# One batch of photos, one of pairs. An epoch goes through the pairs once; the photos go on from epoch to epoch.
# Not run on the real files of COCO and MSRS train, only on a made-up copy of this layout.
_base_ = 'coco_cud.py'

pair_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPairedImage'),
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.2, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackFusionInputs'),
]
photos = dict(
    type='ImageFolderDataset',
    kind='photo',
    data_root='data/coco/',
    data_prefix=dict(img_path='train2017/'),
    subset='all',
    indices=50000,
    pipeline={{_base_.train_pipeline}},
)
pairs = dict(
    type='PairedImageDataset',
    kind='infrared_visible',
    data_root='data/MSRS/train/',
    # The first source has the first teacher: to put infrared first, exchange the folders here and the teachers there.
    data_prefix=dict(img_path='vi', partner_path='ir'),
    pipeline=pair_pipeline,
)

train_dataloader = dict(
    # The batch sampler decides.
    drop_last=False,
    batch_sampler=dict(type='AlternatingBatchSampler', ratio=(1, 1), epoch_kind=1),
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[photos, pairs],
        ignore_keys=['dataset_type', 'task_name'],
    ),
)
