_base_ = ['defusion-tiny_upernet_4xb4-40k_pst900-640x640.py', '../_base_/models/nano_pair_features.py']

model = dict(backbone=_base_.nano_features, neck=_base_.nano_pyramid)
