# The infrared image alone.
_base_ = './faster-rcnn_defusion-tiny_1x_msrs-visible.py'

train_dataloader = dict(dataset=dict(ann_file='annotations/infrared_train.json'))
val_dataloader = dict(dataset=dict(ann_file='annotations/infrared_test.json'))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=_base_.pair_root + 'annotations/infrared_test.json')
test_evaluator = val_evaluator
