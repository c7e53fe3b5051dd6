# A masked autoencoder for CPUs: 16x16 patches, encoder of 6 blocks, 192 wide, decoder of 2 blocks, 128 wide.
_base_ = 'mae_vit-base.py'

model = dict(
    backbone=dict(img_size=160, embed_dims=192, depth=6, num_heads=6),
    neck=dict(in_dims=192, embed_dims=128, depth=2, num_heads=4),
)
