# MFNet under the names of mmseg, see mfnet_pairs.py.
_base_ = ['./mfnet_pairs.py', './pair_loaders.py']

crop_size = _base_.pair_crop_size
tta_pipeline = _base_.pair_tta_pipeline
train_dataloader = dict(dataset=_base_.train_set)
val_dataloader = dict(dataset=_base_.val_set)
test_dataloader = dict(dataset=_base_.test_set)
