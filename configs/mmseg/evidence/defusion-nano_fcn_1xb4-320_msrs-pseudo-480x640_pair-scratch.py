# Both images, random weights.
_base_ = './defusion-nano_fcn_1xb4-320_msrs-pseudo-480x640.py'
