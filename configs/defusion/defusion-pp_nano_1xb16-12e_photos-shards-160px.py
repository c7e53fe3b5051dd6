# Pretraining on a CPU as defusion-pp_nano_1xb16-12e_photos-160px.py, from tar shards instead of a folder.
_base_ = 'defusion-pp_nano_1xb16-12e_photos-160px.py'

data_root = 'data/photos-shards/'

train_dataloader = dict(
    # How many workers the data needs is measured by tools/analysis_tools/benchmark_dataloader.py.
    num_workers=1,
    batch_sampler=dict(type='ShardBatchSampler', num_streams=4),
    drop_last=False,
    dataset=dict(
        _delete_=True,
        type='ShardDataset',
        data_root=data_root + 'train/',
        shuffle_buffer=500,
        pipeline={{_base_.train_pipeline}},
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ShardDataset',
        data_root=data_root + 'val/',
        pipeline={{_base_.val_pipeline}},
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
