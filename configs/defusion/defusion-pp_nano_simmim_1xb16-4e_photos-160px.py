# Pretraining on a CPU from an encoder that masked image modeling has started (configs/simmim), for detectors and
# segmentors: the encoder follows slowly, decomposition, fusion and decoder learn as ever; 4 epochs.
_base_ = 'defusion-pp_nano_1xb16-12e_photos-160px.py'

max_epochs = 4
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'backbone.patch_embed': dict(lr_mult=0.2),
            'backbone.stem': dict(lr_mult=0.2),
            'backbone.blocks': dict(lr_mult=0.2),
            'backbone.norm': dict(lr_mult=0.2),
        }
    )
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=100),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, eta_min=1e-5, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)

load_from = 'work_dirs/simmim_defusion-nano_1xb32-28e_photos-roadscene-msrs-160px/epoch_28.pth'
