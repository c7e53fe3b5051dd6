# What the test sets of all tasks have in common. Sizes differ within most sets, so pairs come one by one.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPairedImage'),
    # Published comparisons fuse lumas.
    dict(type='SourcesToLuma'),
    dict(type='PackFusionInputs'),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairedImageDataset', pipeline=test_pipeline, test_mode=True),
)
test_evaluator = dict(type='FusionMetric')
test_cfg = dict(type='TestLoop')
