# Pretraining on photos in tar shards, streamed; every 20th photo, in shards of their own, is for validation.
#
# data/photos-shards
# ├── train/index.json, shard-000000.tar, ...
# └── val/index.json, shard-000000.tar, ...
#
# made by
#   python tools/dataset_converters/pack_shards.py PHOTOS data/photos-shards/train --subset train --shuffle-seed 0
#   python tools/dataset_converters/pack_shards.py PHOTOS data/photos-shards/val --subset val
data_root = 'data/photos-shards/'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.2, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotometricJitter', brightness=(0.1, 1.0), contrast=(0.1, 1.0), saturation=(0.1, 1.0)),
    dict(type='RandomCUDMasks'),
    dict(type='PackFusionInputs'),
]
val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(224, 224)),
    dict(type='RandomCUDMasks'),
    dict(type='PackFusionInputs'),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    # The number of workers should divide that of streams.
    batch_sampler=dict(type='ShardBatchSampler', num_streams=4),
    dataset=dict(
        type='ShardDataset',
        data_root=data_root + 'train/',
        shuffle_buffer=1000,
        max_corrupted=100,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ShardDataset', data_root=data_root + 'val/', pipeline=val_pipeline, test_mode=True),
)
val_evaluator = dict(type='ReconstructionMetric', keys=('fused', 'masked'))

test_dataloader = val_dataloader
test_evaluator = val_evaluator
