# The infrared image alone, random weights.
_base_ = './defusion-nano_fcn_1xb4-320_msrs-pseudo-480x640_visible.py'

train_dataloader = dict(dataset=dict(data_prefix=dict(img_path='ir')))
val_dataloader = dict(dataset=dict(data_prefix=dict(img_path='ir')))
test_dataloader = val_dataloader
