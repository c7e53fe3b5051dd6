# A minute of real pretraining on a handful of photos, for `make demo`: shows that everything works, not what it can do.
_base_ = 'defusion-pp_nano_1xb16-12e_photos-160px.py'

data_root = 'work_dirs/demo/photos/'
max_iters = 240

train_dataloader = dict(
    batch_size=4,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(data_root=data_root, subset='all'),
)
val_dataloader = dict(batch_size=1, dataset=dict(data_root=data_root, subset='all'))
test_dataloader = val_dataloader

train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=20, T_max=max_iters - 20, eta_min=1e-5),
]
log_processor = dict(by_epoch=False)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=max_iters, save_best=None, rule=None))
# Too short for averaged weights.
custom_hooks = [dict(type='ReproducibleRunHook')]
