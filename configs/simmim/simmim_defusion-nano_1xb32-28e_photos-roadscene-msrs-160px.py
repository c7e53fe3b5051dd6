# Masked image modeling of nano's encoder on a CPU: 28 epochs of 100 batches.
_base_ = [
    '../_base_/models/simmim_defusion-nano.py',
    '../_base_/datasets/photos_roadscene_msrs_images.py',
    '../_base_/cpu_runtime.py',
]

max_epochs = 28
optim_wrapper = dict(optimizer=dict(betas=(0.9, 0.95), weight_decay=0.05), clip_grad=dict(max_norm=3.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=200),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, eta_min=1e-5, convert_to_iter_based=True),
]
train_cfg = dict(type='ResumableTrainLoop', max_epochs=max_epochs, val_interval=7)
auto_scale_lr = dict(base_batch_size=32)

default_hooks = dict(
    checkpoint=dict(save_best=None),
    # There are no pairs to fuse.
    visualization=dict(pair_dataset=None),
)
