# The visible image alone, random weights: stock preprocessor, pipelines without LoadPairedImage.
_base_ = './defusion-nano_fcn_1xb4-320_msrs-pseudo-480x640.py'

model = dict(
    data_preprocessor=dict(
        _delete_=True,
        type='SegDataPreProcessor',
        mean=[0.0] * 3,
        std=[255.0] * 3,
        bgr_to_rgb=True,
        size=_base_.crop_size,
        test_cfg=dict(size_divisor=32),
    ),
    backbone=dict(num_sources=1),
)
train_pipeline = [step for step in _base_.train_pipeline if step['type'] != 'mmdefusion.LoadPairedImage']
test_pipeline = [step for step in _base_.test_pipeline if step['type'] != 'mmdefusion.LoadPairedImage']
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
