# Infrared and visible images; the ranked metrics come first.
_base_ = 'paired_test.py'

test_evaluator = dict(
    metrics=['MI', 'SCD', 'VIF', 'Qabf', 'SSIM']
    + ['EN', 'SD', 'SF', 'AG', 'NMI', 'CC', 'PSNR', 'MS-SSIM', 'Nabf', 'FMI', 'CE', 'Q_CB', 'Q_CV', 'Q_Y']
)
