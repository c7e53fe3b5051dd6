# Both images, weights of pretraining on photos (CUD and MFM).
_base_ = './defusion-nano_fcn_1xb4-320_msrs-pseudo-480x640.py'

pretrained = 'work_dirs/defusion-pp_nano/weights.pth'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained, prefix='backbone.')))
