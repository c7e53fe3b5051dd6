# Unsupervised adaptation to fusion on a CPU, from the package's weights of pretraining: photos keep up decomposition
# and masked feature modeling, the fused image learns from real and generated pairs. One network for infrared-visible,
# multi-focus and multi-exposure pairs, 35 epochs of 100 batches.
_base_ = [
    '../_base_/models/defusion-pp_nano.py',
    '../_base_/datasets/photos_roadscene_msrs_fusion.py',
    '../_base_/cpu_runtime.py',
]

model = dict(
    # Photos train the parts alone: their noise would teach the fused image to distrust the brighter source.
    target_generator=dict(degradations=('noise',)),
    head=dict(fused_weight=0.0, ssim_weight=0.0),
    # Else `difference` and `contrast`, which ask for more than the sources have, cost edges and structure.
    restored=dict(infrared_visible=0.5),
    fusion_head=dict(
        type='FusionHead',
        weights=dict(
            infrared_visible=dict(
                structure=140.0,
                fidelity=50.0,
                information=20.0,
                edge=60.0,
                contrast=60.0,
                difference=20.0,
                intensity=80.0,
                # Comes in later, see FusionWeightsHook: an average of the sources, which decides nothing, has none.
                steps=0.0,
            ),
            multi_focus=dict(truth=200.0, truth_structure=20.0),
            # Not the truth: it would have each region as bright as it was, whatever its neighbours are.
            multi_exposure=dict(
                exposure=30.0,
                structure=100.0,
                edge=40.0,
                information=50.0,
                fidelity=50.0,
                brightness=160.0,
            ),
        ),
    ),
)

max_epochs = 35
optim_wrapper = dict(
    optimizer=dict(lr=8e-4),
    # So small that steps of all kinds of pairs weigh alike.
    clip_grad=dict(max_norm=5),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, eta_min=5e-5, convert_to_iter_based=True),
]
train_cfg = dict(type='ResumableTrainLoop', max_epochs=max_epochs, val_interval=7)

default_hooks = dict(checkpoint=dict(save_best=None))
custom_hooks = [
    dict(type='ReproducibleRunHook'),
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.002, gamma=100),
    dict(
        type='FusionWeightsHook',
        stages=[
            dict(
                begin=5,
                end=10,
                weights=dict(
                    infrared_visible=dict(
                        edge=85.0,
                        contrast=80.0,
                        difference=16.0,
                        intensity=40.0,
                        # A square of small numbers: a step of a tenth of the range that no source has counts 0.01.
                        steps=3e4,
                    ),
                ),
            ),
            # Which source to follow is decided by now; likeness to both of them comes last.
            dict(
                begin=17,
                end=19,
                weights=dict(
                    infrared_visible=dict(
                        structure=280.0,
                        fidelity=55.0,
                        edge=110.0,
                        contrast=60.0,
                        difference=22.0,
                    ),
                ),
                restored=dict(infrared_visible=0.75),
            ),
            # Persons at night, whose contrast edges and structure pay for unless nearly all batches are restored.
            dict(
                begin=25,
                end=26,
                weights=dict(infrared_visible=dict(contrast=78.0)),
                restored=dict(infrared_visible=0.95),
            ),
        ],
    ),
]

load_from = 'mmdefusion://pretext'
# Batches of photos and of pairs train different heads.
find_unused_parameters = True
