# Masked autoencoders as published: AdamW, base learning rate 1.5e-4 for a batch of 256, 40 epochs of warm-up, cosine.
# Published are 800 or 1600 epochs of ImageNet with batches of 4096.
max_epochs = 400
optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='auto',
    # 8 processes of 64.
    optimizer=dict(type='AdamW', lr=1.5e-4 * 512 / 256, betas=(0.9, 0.95), weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0, custom_keys=dict(token=dict(decay_mult=0))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, end=40, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=40,
        end=max_epochs,
        T_max=max_epochs - 40,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='ResumableTrainLoop', max_epochs=max_epochs, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# --auto-scale-lr scales the learning rate by (number of processes x batch size) / 512.
auto_scale_lr = dict(enable=False, base_batch_size=512)
