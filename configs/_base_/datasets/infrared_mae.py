# Infrared images for masked autoencoders: those of two sets of pairs.
#
# data
# ├── RoadScene/ir/FLIR_00006.jpg ...      149 images for training, 22 for validation (splits/roadscene_*.txt)
# └── MSRS/test/ir/00008N.png ...          89 and 31 (splits/msrs_*.txt)
#
# An epoch is 40 batches. Of eight batches five are from the first set and three from the second, as their sizes are.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=160, crop_ratio_range=(0.2, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackFusionInputs'),
]
val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(160, 160)),
    dict(type='PackFusionInputs'),
]

train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AlternatingBatchSampler', ratio=(5, 3), num_batches=40),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(
                type='ImageFolderDataset',
                data_root='data/RoadScene/',
                ann_file='{{ fileDirname }}/splits/roadscene_train.txt',
                data_prefix=dict(img_path='ir'),
                pipeline=train_pipeline,
            ),
            dict(
                type='ImageFolderDataset',
                data_root='data/MSRS/test/',
                ann_file='{{ fileDirname }}/splits/msrs_train.txt',
                data_prefix=dict(img_path='ir'),
                pipeline=train_pipeline,
            ),
        ],
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(
                type='ImageFolderDataset',
                data_root='data/RoadScene/',
                ann_file='{{ fileDirname }}/splits/roadscene_val.txt',
                data_prefix=dict(img_path='ir'),
                pipeline=val_pipeline,
                test_mode=True,
            ),
            dict(
                type='ImageFolderDataset',
                data_root='data/MSRS/test/',
                ann_file='{{ fileDirname }}/splits/msrs_val.txt',
                data_prefix=dict(img_path='ir'),
                pipeline=val_pipeline,
                test_mode=True,
            ),
        ],
    ),
)
val_evaluator = dict(type='ReconstructionMetric', keys=('masked',))

test_dataloader = val_dataloader
test_evaluator = val_evaluator
