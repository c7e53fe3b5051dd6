# Both images, pretrained features that are not trained any further: 6 is depth + 2, all of the nano backbone.
_base_ = './retinanet_defusion-nano_1xb4-36e_msrs-pseudo-480x640_pair-pretrained.py'

model = dict(backbone=dict(frozen_stages=6))
