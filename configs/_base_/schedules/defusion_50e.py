# The published recipe: Adam, 50 epochs of batches of 16, learning rate 4e-4 halved at 20, 40, 45 and 47.
#
# The release sums its loss over the 16 samples of a batch; here it is their mean. Adam's step does not depend on the
# scale of the loss, so the learning rate stays, and the gradient clip of 20 becomes 20 / 16.
# Under AutocastOptimWrapper, CPUs with bfloat16 instructions train in bfloat16, accelerators in float32 (see --amp).
optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='auto',
    optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.999)),
    clip_grad=dict(max_norm=20 / 16),
)
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[20, 40, 45, 47], gamma=0.5)]

train_cfg = dict(type='ResumableTrainLoop', max_epochs=50, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# --auto-scale-lr scales the learning rate by (number of processes x batch size) / 16.
auto_scale_lr = dict(enable=False, base_batch_size=16)
