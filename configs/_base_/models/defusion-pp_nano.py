# A network for CPUs: 8x8 patches, 128 wide, 4 blocks, attention in windows, 3.89 M parameters.
_base_ = 'defusion-pp_tiny.py'

model = dict(backbone=dict(arch='nano'), neck=dict(arch='nano'))
