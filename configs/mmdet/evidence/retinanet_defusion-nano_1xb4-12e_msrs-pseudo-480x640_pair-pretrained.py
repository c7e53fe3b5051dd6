# Both images, weights of pretraining on photos (CUD and MFM).
_base_ = './retinanet_defusion-nano_1xb4-12e_msrs-pseudo-480x640.py'

pretrained = 'work_dirs/defusion-pp_nano/weights.pth'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained, prefix='backbone.')))
# At the base config's own rate AP50 was 4.6 lower (three seeds).
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.2))))
