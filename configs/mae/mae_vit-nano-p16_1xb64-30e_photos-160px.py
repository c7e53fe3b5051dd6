# A small teacher of visible images, on a CPU: 30 epochs of a few thousand photos.
_base_ = [
    '../_base_/models/mae_vit-nano.py',
    '../_base_/datasets/photos_mae.py',
    '../_base_/cpu_runtime.py',
]

max_epochs = 30
optim_wrapper = dict(optimizer=dict(betas=(0.9, 0.95), weight_decay=0.05), clip_grad=dict(max_norm=1.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, eta_min=1e-5, convert_to_iter_based=True),
]
train_cfg = dict(type='ResumableTrainLoop', max_epochs=max_epochs, val_interval=5)
auto_scale_lr = dict(base_batch_size=64)

default_hooks = dict(
    checkpoint=dict(save_best='psnr_masked'),
    # There are no pairs to fuse.
    visualization=dict(pair_dataset=None),
)
