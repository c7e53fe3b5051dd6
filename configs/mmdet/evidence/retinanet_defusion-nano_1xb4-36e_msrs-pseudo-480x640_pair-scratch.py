# Both images, random weights.
_base_ = './retinanet_defusion-nano_1xb4-36e_msrs-pseudo-480x640.py'
