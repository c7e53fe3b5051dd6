# Both images, weights of pretraining on photos (CUD and MFM).
_base_ = './retinanet_defusion-nano_1xb4-12e_msrs-pseudo-480x640.py'

pretrained = 'work_dirs/defusion-pp_nano/weights.pth'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained, prefix='backbone.')))
