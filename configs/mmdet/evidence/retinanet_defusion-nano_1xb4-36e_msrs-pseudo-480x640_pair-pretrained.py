# Both images, weights of the package, or those that compare_downstream.py is given.
_base_ = './retinanet_defusion-nano_1xb4-36e_msrs-pseudo-480x640.py'

pretrained = 'mmdefusion://pretext'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained, prefix='backbone.')))
