# Training on a CPU: in bfloat16 where it has instructions for it, in validation as well, else in float32. A config adds
# its epochs and how the learning rate changes over them.
_base_ = 'default_runtime.py'

optim_wrapper = dict(
    type='AutocastOptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01),
    clip_grad=dict(max_norm=20),
)
val_cfg = dict(type='AutocastValLoop')
test_cfg = dict(type='AutocastTestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)

default_hooks = dict(logger=dict(interval=20))
