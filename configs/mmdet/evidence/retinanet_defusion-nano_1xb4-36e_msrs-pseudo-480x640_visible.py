# The visible image alone, random weights: stock preprocessor, pipelines without LoadPairedImage.
_base_ = './retinanet_defusion-nano_1xb4-36e_msrs-pseudo-480x640.py'

model = dict(
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[0.0] * 3, std=[255.0] * 3),
    backbone=dict(num_sources=1),
)
train_pipeline = [step for step in _base_.train_pipeline if step['type'] != 'mmdefusion.LoadPairedImage']
test_pipeline = [step for step in _base_.test_pipeline if step['type'] != 'mmdefusion.LoadPairedImage']
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
