default_scope = 'mmdefusion'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='AtomicCheckpointHook', interval=1, max_keep_ckpts=3, save_best='psnr_fused', rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    invalid_loss=dict(type='StopOnInvalidLossHook'),
    visualization=dict(
        type='FusionVisualizationHook',
        pair_dataset=dict(type='SamplePairDataset', pipeline=[dict(type='PackFusionInputs')]),
    ),
)
custom_hooks = [dict(type='ReproducibleRunHook')]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
randomness = dict(seed=0)

vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
visualizer = dict(type='FusionLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(by_epoch=True, window_size=50)
log_level = 'INFO'
load_from = None
resume = False
