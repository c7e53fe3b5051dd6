_base_ = ['../_base_/models/defusion-tiny_mask2former.py', '../_base_/datasets/fmb_pairs.py']

num_classes = len(_base_.pair_set.metainfo.classes)
crop_size = _base_.pair_crop_size
data_preprocessor = dict(
    _delete_=True, type='mmdefusion.PairedSegDataPreProcessor', size=crop_size, test_cfg=dict(size_divisor=32)
)
model = dict(
    data_preprocessor=data_preprocessor,
    decode_head=dict(num_classes=num_classes, loss_cls=dict(class_weight=[1.0] * num_classes + [0.1])),
)
train_dataloader = dict(dataset=dict(_delete_=True, **_base_.train_set))
val_dataloader = dict(dataset=dict(_delete_=True, **_base_.val_set))
test_dataloader = dict(dataset=dict(_delete_=True, **_base_.test_set))
tta_pipeline = _base_.pair_tta_pipeline
visualizer = _base_.pair_visualizer
