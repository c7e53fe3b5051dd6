# Masked image modeling of nano with its decomposition and fusion, on pairs, on a CPU: 24 epochs of 100
# batches.
_base_ = [
    '../_base_/models/simmim_defusion-nano.py',
    '../_base_/datasets/photos_roadscene_msrs_masked_pairs.py',
    '../_base_/cpu_runtime.py',
]

model = dict(decompose=True)

max_epochs = 24
optim_wrapper = dict(optimizer=dict(betas=(0.9, 0.95), weight_decay=0.05), clip_grad=dict(max_norm=3.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=200),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, eta_min=1e-5, convert_to_iter_based=True),
]
train_cfg = dict(type='ResumableTrainLoop', max_epochs=max_epochs, val_interval=6)

default_hooks = dict(
    checkpoint=dict(save_best=None),
    # Validation is of single images.
    visualization=dict(pair_dataset=None),
)
