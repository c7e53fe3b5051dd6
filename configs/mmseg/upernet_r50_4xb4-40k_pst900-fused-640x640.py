# Fuse to an image first, then a stock segmentor: nothing of mmdefusion but the images and two hooks is left in it.
#
# mmdefusion fuse data/pst900/train/vi data/pst900/train/ir -o data/pst900/train/fused --weights WEIGHTS
# mmdefusion fuse data/pst900/test/vi data/pst900/test/ir -o data/pst900/test/fused --weights WEIGHTS
_base_ = [
    'mmseg::_base_/models/upernet_r50.py',
    '../_base_/datasets/pst900_segmentation.py',
    'mmseg::_base_/schedules/schedule_40k.py',
    'mmseg::_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size, test_cfg=dict(size_divisor=32)),
    decode_head=dict(num_classes=5),
    auxiliary_head=dict(num_classes=5),
)
default_hooks = dict(
    checkpoint=dict(type='mmdefusion.AtomicCheckpointHook', save_best='mIoU'),
    invalid_loss=dict(type='mmdefusion.StopOnInvalidLossHook'),
)
train_pipeline = [step for step in _base_.train_set.pipeline if step['type'] != 'mmdefusion.LoadPairedImage']
test_pipeline = [step for step in _base_.test_set.pipeline if step['type'] != 'mmdefusion.LoadPairedImage']
tta_pipeline = [step for step in _base_.tta_pipeline if step['type'] != 'mmdefusion.LoadPairedImage']
train_dataloader = dict(dataset=dict(data_prefix=dict(img_path='train/fused'), pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_prefix=dict(img_path='test/fused'), pipeline=test_pipeline))
test_dataloader = val_dataloader
