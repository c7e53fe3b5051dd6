# Both images, weights of the package, or those that compare_downstream.py is given.
_base_ = './defusion-nano_fcn_1xb4-320_msrs-pseudo-480x640.py'

pretrained = 'mmdefusion://backbone'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained, prefix='backbone.')))
