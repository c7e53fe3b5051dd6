# Pictures of different focus with a truth.
_base_ = 'paired_test.py'

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPairedImage'),
    dict(type='LoadFusionTruth'),
    dict(type='PackFusionInputs'),
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_evaluator = dict(
    metrics=['PSNR-GT', 'SSIM-GT', 'GMSD']
    + ['NMI', 'VIF', 'Qabf', 'SSIM']
    + ['EN', 'SD', 'SF', 'AG', 'MI', 'CC', 'SCD', 'PSNR', 'MS-SSIM', 'Nabf', 'FMI', 'CE', 'Q_CB', 'Q_CV', 'Q_Y']
)
