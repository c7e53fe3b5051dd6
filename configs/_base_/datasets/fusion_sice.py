# SICE: 589 sequences of 3 to 18 exposures with a reference each, chosen from the results of 13 methods. Tested on: the
# darkest and the brightest picture of the 229 sequences of part 2.
#
# data/SICE/Dataset_Part2
# ├── 1
# │   ├── 1.JPG         darkest
# │   ├── ...
# │   └── 7.JPG         brightest
# └── Label/1.JPG ...   the reference of sequence 1
#
# The originals are large photos; papers often reduce them to 1200x900 first, all of a sequence and its reference alike.
# Not run on the real files, only on a made-up copy of this layout.
_base_ = 'multi_exposure_test.py'

data_root = 'data/SICE/Dataset_Part2/'

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPairedImage'),
    dict(type='LoadFusionTruth'),
    dict(type='PackFusionInputs'),
]
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(img_path='', partner_path='', gt_path=''),
        patterns=dict(img_path=r'(\d+)/[^/]+', partner_path=r'(\d+)/[^/]+', gt_path=r'[Ll]abel/(\d+)'),
        sequence=True,
        pipeline=test_pipeline,
    )
)
test_evaluator = dict(
    metrics=['PSNR-GT', 'SSIM-GT', 'GMSD']
    + ['MEF-SSIM', 'MI', 'VIF', 'Qabf', 'SSIM']
    + ['MEF-MS-SSIM', 'EN', 'SD', 'SF', 'AG', 'NMI', 'CC', 'SCD']
    + ['PSNR', 'MS-SSIM', 'Nabf', 'FMI', 'CE', 'Q_CB', 'Q_CV', 'Q_Y']
)
