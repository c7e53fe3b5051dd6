# The visible image alone: stock preprocessor, pipelines without LoadPairedImage.
_base_ = './defusion-tiny_upernet_4xb4-40k_mfnet-480x640.py'

data_preprocessor = dict(
    _delete_=True,
    type='SegDataPreProcessor',
    mean=[0.0] * 3,
    std=[255.0] * 3,
    bgr_to_rgb=True,
    size=_base_.crop_size,
    test_cfg=dict(size_divisor=32),
)
model = dict(data_preprocessor=data_preprocessor, backbone=dict(num_sources=1))
train_pipeline = [step for step in _base_.train_set.pipeline if step['type'] != 'mmdefusion.LoadPairedImage']
test_pipeline = [step for step in _base_.test_set.pipeline if step['type'] != 'mmdefusion.LoadPairedImage']
tta_pipeline = [step for step in _base_.tta_pipeline if step['type'] != 'mmdefusion.LoadPairedImage']
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
visualizer = dict(_delete_=True, type='SegLocalVisualizer', vis_backends=_base_.vis_backends, name='visualizer')
