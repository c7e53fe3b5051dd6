# Both images, weights of the package, or those that compare_downstream.py is given.
_base_ = './retinanet_defusion-nano_1xb4-12e_msrs-pseudo-480x640.py'

pretrained = 'mmdefusion://backbone'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained, prefix='backbone.')))
# At the base config's own rate AP50 was 4.6 lower (three seeds).
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.2))))
