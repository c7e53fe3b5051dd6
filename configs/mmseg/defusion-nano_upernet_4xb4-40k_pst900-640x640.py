# From the weights of the package: all parts of the pair, and what the stem sees at strides 4 and 8.
_base_ = 'defusion-tiny_upernet_4xb4-40k_pst900-640x640.py'

model = dict(
    backbone=dict(
        arch='nano', out_type='concat', out_details=(4, 8), init_cfg=dict(checkpoint='mmdefusion://backbone')
    ),
    neck=dict(in_channels=4 * 192, out_channels=192, detail_channels=(96, 128), norm_cfg=dict(type='BN')),
)
