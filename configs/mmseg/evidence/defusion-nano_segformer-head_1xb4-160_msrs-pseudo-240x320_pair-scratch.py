# Both images, random weights.
_base_ = './defusion-nano_segformer-head_1xb4-160_msrs-pseudo-240x320.py'
