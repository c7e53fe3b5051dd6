# Pretraining on a CPU from masked image modeling of pairs (configs/simmim), for detectors and segmentors: the backbone,
# decomposition and fusion included, follows slowly, the decoder learns as ever; 4 epochs.
_base_ = 'defusion-pp_nano_1xb16-12e_photos-160px.py'

max_epochs = 4
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=100),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, eta_min=1e-5, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)

load_from = 'work_dirs/simmim-pairs_defusion-nano_1xb16-24e_photos-roadscene-msrs-160px/epoch_24.pth'
