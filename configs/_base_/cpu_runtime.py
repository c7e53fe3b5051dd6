# Training on a CPU: bfloat16, in validation as well. A config adds its epochs and how the learning rate changes over
# them.
_base_ = 'default_runtime.py'

optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='bfloat16',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01),
    clip_grad=dict(max_norm=20),
)
val_cfg = dict(type='ValLoop', fp16=True)
test_cfg = dict(type='TestLoop', fp16=True)
auto_scale_lr = dict(enable=False, base_batch_size=16)

default_hooks = dict(logger=dict(interval=20))
