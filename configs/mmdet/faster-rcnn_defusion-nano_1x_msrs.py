_base_ = ['faster-rcnn_defusion-tiny_1x_msrs.py', '../_base_/models/nano_pair_features.py']

model = dict(backbone=_base_.nano_features, neck=[_base_.nano_pyramid, _base_.model.neck[1]])
