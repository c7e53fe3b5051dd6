# The visible image alone: stock preprocessor, pipelines without LoadPairedImage.
_base_ = './faster-rcnn_defusion-tiny_1x_m3fd.py'

model = dict(
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[0.0] * 3, std=[255.0] * 3),
    backbone=dict(num_sources=1),
)
train_pipeline = [step for step in _base_.train_set.pipeline if step['type'] != 'mmdefusion.LoadPairedImage']
test_pipeline = [step for step in _base_.val_set.pipeline if step['type'] != 'mmdefusion.LoadPairedImage']
tta_pipeline = [step for step in _base_.tta_pipeline if step['type'] != 'mmdefusion.LoadPairedImage']
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
visualizer = dict(_delete_=True, type='DetLocalVisualizer', vis_backends=_base_.vis_backends, name='visualizer')
