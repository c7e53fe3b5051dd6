# Both images, pretrained features that are not trained any further: 6 is depth + 2, all of the nano backbone.
_base_ = './defusion-nano_fcn_1xb4-320_msrs-pseudo-480x640_pair-pretrained.py'

model = dict(backbone=dict(frozen_stages=6))
