# Second stage and unsupervised adaptation at once, on a CPU, from the checkpoint of pretraining: tokens learn from the
# teachers of multi-modal decomposition, the fused image from real and generated pairs. One network for
# infrared-visible, multi-focus and multi-exposure pairs, 20 epochs of 100 batches.
_base_ = [
    '../_base_/models/defusion-pp_nano_mcud.py',
    '../_base_/datasets/photos_roadscene_msrs_fusion.py',
    '../_base_/default_runtime.py',
]

model = dict(
    fusion_head=dict(
        type='FusionHead',
        weights=dict(
            infrared_visible=dict(
                structure=125.0,
                fidelity=40.0,
                information=15.0,
                edge=46.0,
                contrast=14.0,
                difference=6.0,
                intensity=10.0,
            ),
            multi_focus=dict(truth=200.0, truth_structure=20.0),
            multi_exposure=dict(
                truth=40.0,
                exposure=18.0,
                structure=65.0,
                edge=45.0,
                information=60.0,
                fidelity=40.0,
                brightness=40.0,
            ),
        ),
    ),
)

max_epochs = 20
optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='bfloat16',
    optimizer=dict(type='AdamW', lr=8e-4, betas=(0.9, 0.98), weight_decay=0.01),
    # So small that steps of all kinds of pairs weigh alike.
    clip_grad=dict(max_norm=5),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, eta_min=1e-5, convert_to_iter_based=True),
]
train_cfg = dict(type='ResumableTrainLoop', max_epochs=max_epochs, val_interval=4)
# Validation in bfloat16 as well.
val_cfg = dict(type='ValLoop', fp16=True)
test_cfg = dict(type='TestLoop', fp16=True)
auto_scale_lr = dict(enable=False, base_batch_size=16)

default_hooks = dict(logger=dict(interval=20), checkpoint=dict(save_best=None))
custom_hooks = [
    dict(type='ReproducibleRunHook'),
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.002, gamma=100),
]

load_from = 'work_dirs/defusion-pp_nano_1xb16-12e_photos-160px/epoch_12.pth'
# Batches of photos and of pairs train different heads.
find_unused_parameters = True
