# Pictures of different focus; the ranked metrics come first.
_base_ = 'paired_test.py'

test_evaluator = dict(
    metrics=['NMI', 'VIF', 'Qabf', 'SSIM']
    + ['EN', 'SD', 'SF', 'AG', 'MI', 'CC', 'SCD', 'PSNR', 'MS-SSIM', 'Nabf', 'FMI', 'CE', 'Q_CB', 'Q_CV', 'Q_Y']
)
