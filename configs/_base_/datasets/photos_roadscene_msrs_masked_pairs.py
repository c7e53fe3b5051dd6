# Pairs without labels for masked image modeling: photos, each paired with itself in another light, and the
# infrared-visible pairs for training.
#
# data
# ├── photos/*.jpg                         every 20th, in the order of their names, is held out for validation
# ├── RoadScene/{vi,ir}/FLIR_00006.jpg     149 pairs (splits/roadscene_train.txt)
# └── MSRS/test/{vi,ir}/00004N.png         89 pairs (splits/msrs_train.txt)
#
# Batches of photos and batches of pairs take turns. An epoch is 100 batches.
_base_ = 'photos_roadscene_msrs_images.py'

jitter = dict(type='PhotometricJitter', brightness=(0.4, 1.0))
infrared_jitter = dict(type='PhotometricJitter', brightness=(0.4, 1.0), saturation=(0.0, 0.0), gamma=(0.5, 2.0))
photo_pipeline = [
    dict(type='LoadImageFromFile'),
    # The photo again.
    dict(type='LoadPairedImage', path_map=('.jpg', '.jpg')),
    dict(type='RandomResizedCrop', scale=160, crop_ratio_range=(0.15, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='ApplyToSource', index=0, transforms=[jitter]),
    dict(type='ApplyToSource', index=1, transforms=[infrared_jitter, dict(type='RandomInvert')]),
    dict(type='PackFusionInputs'),
]
pair_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPairedImage'),
    dict(type='RandomResizedCrop', scale=160, crop_ratio_range=(0.15, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='ApplyToSource', index=0, transforms=[jitter]),
    dict(type='ApplyToSource', index=1, transforms=[jitter]),
    dict(type='PackFusionInputs'),
]
splits = '{{ fileDirname }}/splits'
pairs = dict(type='PairedImageDataset', data_prefix=dict(img_path='vi', partner_path='ir'), pipeline=pair_pipeline)
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(**_base_.photos, subset='train', pipeline=photo_pipeline),
            dict(
                type='ConcatDataset',
                datasets=[
                    dict(**pairs, data_root='data/RoadScene/', ann_file=splits + '/roadscene_train.txt'),
                    dict(**pairs, data_root='data/MSRS/test/', ann_file=splits + '/msrs_train.txt'),
                ],
            ),
        ],
        ignore_keys=['dataset_type', 'task_name'],
    ),
)
