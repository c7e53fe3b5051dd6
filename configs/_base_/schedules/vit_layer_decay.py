# AdamW with learning rates that decay with the backbone's depth, for detectors whose own schedule is made for SGD.
# Training stops before NaN gets into a checkpoint.
vit_optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='mmdefusion.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.8, norm_decay_mult=0.0, bias_decay_mult=0.0),
)
custom_hooks = [dict(type='mmdefusion.StopOnInvalidLossHook')]
