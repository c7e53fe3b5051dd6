# Fused to an image first, then the stock detector. The images: see README.md.
_base_ = ['mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', '../_base_/datasets/msrs_detection.py']

model = dict(roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)))
default_hooks = dict(checkpoint=dict(type='mmdefusion.AtomicCheckpointHook', save_best='coco/bbox_mAP'))
custom_hooks = [dict(type='mmdefusion.StopOnInvalidLossHook')]

train_pipeline = [step for step in _base_.train_set.pipeline if step['type'] != 'mmdefusion.LoadPairedImage']
test_pipeline = [step for step in _base_.val_set.pipeline if step['type'] != 'mmdefusion.LoadPairedImage']
tta_pipeline = [step for step in _base_.pair_tta_pipeline if step['type'] != 'mmdefusion.LoadPairedImage']
tta_model = _base_.pair_tta_model
train_set = dict(pipeline=train_pipeline, ann_file='annotations/fused_train.json')
val_set = dict(pipeline=test_pipeline, ann_file='annotations/fused_test.json')
train_dataloader = dict(dataset=dict(_base_.train_set, **train_set))
val_dataloader = dict(dataset=dict(_base_.val_set, **val_set))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=_base_.pair_root + 'annotations/fused_test.json')
test_evaluator = val_evaluator
