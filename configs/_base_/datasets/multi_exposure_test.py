# Pictures of different exposure; the ranked metrics come first.
_base_ = 'paired_test.py'

test_evaluator = dict(
    metrics=['MEF-SSIM', 'MI', 'VIF', 'Qabf', 'SSIM']
    + ['MEF-MS-SSIM', 'EN', 'SD', 'SF', 'AG', 'NMI', 'CC', 'SCD']
    + ['PSNR', 'MS-SSIM', 'Nabf', 'FMI', 'CE', 'Q_CB', 'Q_CV', 'Q_Y']
)
