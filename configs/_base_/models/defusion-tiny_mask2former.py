# Mask2Former on pairs, 40,000 iterations of 16 of them; needs MMDetection as well. The stock config brings an optimizer
# and data of its own: a config that inherits from this file puts a set of pairs in place of the latter.
_base_ = 'mmseg::mask2former/mask2former_r50_8xb2-90k_cityscapes-512x1024.py'

pretrained = 'work_dirs/defusion_pretrain/weights.pth'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmdefusion.DeFusionViT',
        arch='tiny',
        num_sources=2,
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained, prefix='backbone.'),
    ),
    neck=dict(type='mmdefusion.FusedFeaturePyramid', in_channels=192),
    decode_head=dict(in_channels=[192] * 4),
)
train_dataloader = dict(batch_size=4, num_workers=4)

max_iters = 40000
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin=0, end=max_iters)]
train_cfg = dict(max_iters=max_iters, val_interval=4000)
default_hooks = dict(
    checkpoint=dict(type='mmdefusion.AtomicCheckpointHook', interval=4000),
    invalid_loss=dict(type='mmdefusion.StopOnInvalidLossHook'),
)
