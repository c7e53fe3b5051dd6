# Photos for masked autoencoders.
#
# data/photos
# └── *.jpg        also in folders below; every 20th photo, in the order of their names, is held out for validation
data_root = 'data/photos/'

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
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='ImageFolderDataset',
        data_root=data_root,
        data_prefix=dict(img_path=''),
        subset='train',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ImageFolderDataset',
        data_root=data_root,
        data_prefix=dict(img_path=''),
        subset='val',
        pipeline=val_pipeline,
        test_mode=True,
    ),
)
val_evaluator = dict(type='ReconstructionMetric', keys=('masked',))

test_dataloader = val_dataloader
test_evaluator = val_evaluator
