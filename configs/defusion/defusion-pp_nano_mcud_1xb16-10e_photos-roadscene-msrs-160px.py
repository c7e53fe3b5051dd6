# The second stage on a CPU: multi-modal decomposition of infrared-visible pairs beside decomposition of photos, from
# the checkpoint of the first stage and with two small teachers; 10 epochs of 100 batches.
_base_ = [
    '../_base_/models/defusion-pp_nano_mcud.py',
    '../_base_/datasets/photos_roadscene_msrs_mcud.py',
    '../_base_/cpu_runtime.py',
]

max_epochs = 10
optim_wrapper = dict(
    # A quarter of the first stage's, as published.
    optimizer=dict(lr=1.25e-4),
    # The predictions start at zero, and have to be there before the tokens can learn from them.
    paramwise_cfg=dict(custom_keys=dict(mcud_head=dict(lr_mult=10.0))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, eta_min=1e-5, convert_to_iter_based=True),
]
train_cfg = dict(type='ResumableTrainLoop', max_epochs=max_epochs, val_interval=5)

custom_hooks = [
    dict(type='ReproducibleRunHook'),
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.002, gamma=100),
]

load_from = 'mmdefusion://pretext'
# Batches of photos and of pairs train different heads.
find_unused_parameters = True
