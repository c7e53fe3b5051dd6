# A network for CPUs: 16x16 patches, 192 wide, 4 blocks, attention in windows, and a thin full-resolution path.
_base_ = 'defusion-pp_tiny.py'

model = dict(backbone=dict(arch='nano'), neck=dict(arch='nano'))
