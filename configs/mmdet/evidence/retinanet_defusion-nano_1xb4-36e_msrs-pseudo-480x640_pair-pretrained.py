# Both images, weights of the package, or those that compare_downstream.py is given. Neck and head learn to read them
# for nine epochs before all is trained together.
_base_ = './retinanet_defusion-nano_1xb4-36e_msrs-pseudo-480x640.py'

pretrained = 'mmdefusion://pretext'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained, prefix='backbone.')))
custom_hooks = [dict(type='mmdefusion.FreezeBackboneHook', end=9)]
find_unused_parameters = True
