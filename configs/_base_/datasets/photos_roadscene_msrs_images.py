# Single images without labels: photos, and both images of the infrared-visible pairs for training, each by itself.
#
# data
# ├── photos/*.jpg                         every 20th, in the order of their names, is held out for validation
# ├── RoadScene/{vi,ir}/FLIR_00006.jpg     149 pairs (splits/roadscene_train.txt)
# └── MSRS/test/{vi,ir}/00004N.png         89 pairs (splits/msrs_train.txt)
#
# Batches of photos and batches of images of pairs take turns. An epoch is 100 batches.
image_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=160, crop_ratio_range=(0.15, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotometricJitter', brightness=(0.4, 1.0)),
    dict(type='PackFusionInputs'),
]
photos = dict(type='ImageFolderDataset', data_root='data/photos/', data_prefix=dict(img_path=''))
roadscene = dict(
    type='ImageFolderDataset',
    data_root='data/RoadScene/',
    ann_file='{{ fileDirname }}/splits/roadscene_train.txt',
    pipeline=image_pipeline,
)
msrs = dict(
    type='ImageFolderDataset',
    data_root='data/MSRS/test/',
    ann_file='{{ fileDirname }}/splits/msrs_train.txt',
    pipeline=image_pipeline,
)

train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AlternatingBatchSampler', ratio=(1, 1), num_batches=100),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(**photos, subset='train', pipeline=image_pipeline),
            dict(
                type='ConcatDataset',
                datasets=[
                    dict(**roadscene, data_prefix=dict(img_path='vi')),
                    dict(**roadscene, data_prefix=dict(img_path='ir')),
                    dict(**msrs, data_prefix=dict(img_path='vi')),
                    dict(**msrs, data_prefix=dict(img_path='ir')),
                ],
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
        **photos,
        subset='val',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(160, 160)),
            dict(type='PackFusionInputs'),
        ],
        test_mode=True,
    ),
)
val_evaluator = dict(type='ReconstructionMetric', keys=('masked',))

test_dataloader = val_dataloader
test_evaluator = val_evaluator
