# Multi-exposure pairs with a known truth, made from any photos. Tested on: every 20th photo, those that pretraining
# on the same folder holds out.
#
# data/photos
# └── *.jpg    also in folders below
#
# A pair depends on the photo's position in the sorted folder and on nothing else: every run makes the same pairs.
_base_ = 'paired_test.py'

data_root = 'data/photos/'

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomMultiExposurePair'),
    dict(type='PackFusionInputs'),
]
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ImageFolderDataset',
        data_root=data_root,
        data_prefix=dict(img_path=''),
        subset='val',
        pipeline=test_pipeline,
        test_mode=True,
    )
)
test_evaluator = dict(metrics=['PSNR-GT', 'SSIM-GT', 'GMSD'] + ['MEF-SSIM', 'MI', 'VIF', 'Qabf', 'SSIM'])
