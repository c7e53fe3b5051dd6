# Tested in windows of the size of the training crops, for images larger than these.
_base_ = './defusion-tiny_upernet_4xb4-40k_msrs-480x640.py'

model = dict(test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=(320, 426)))
