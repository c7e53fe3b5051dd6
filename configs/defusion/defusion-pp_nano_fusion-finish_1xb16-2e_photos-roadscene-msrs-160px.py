# 200 steps after adaptation, with more weight on likeness to both sources: an image is to be as like them as the brighter
# of both pixels is.
_base_ = 'defusion-pp_nano_fusion_1xb16-22e_photos-roadscene-msrs-160px.py'

model = dict(
    fusion_head=dict(
        weights=dict(
            infrared_visible=dict(
                structure=300.0,
                fidelity=60.0,
                edge=140.0,
                contrast=40.0,
                difference=5.0,
                intensity=30.0,
                steps=3e4,
            ),
        ),
    ),
)

max_epochs = 2
optim_wrapper = dict(optimizer=dict(lr=4e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=10),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, eta_min=1e-5, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
custom_hooks = [
    dict(type='ReproducibleRunHook'),
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.02, gamma=100),
]

load_from = 'work_dirs/defusion-pp_nano_fusion_1xb16-22e_photos-roadscene-msrs-160px/epoch_22.pth'
