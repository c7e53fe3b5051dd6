# The infrared image alone, random weights.
_base_ = './retinanet_defusion-nano_1xb4-36e_msrs-pseudo-480x640_visible.py'

train_dataloader = dict(dataset=dict(ann_file='annotations/infrared_train.json'))
val_dataloader = dict(dataset=dict(ann_file='annotations/infrared_test.json'))
test_dataloader = val_dataloader
