# What a detector or segmentor takes from the weights of the package: all parts of the pair, and what the stem sees at
# strides 4 and 8.
nano_features = dict(
    arch='nano', out_type='concat', out_details=(4, 8), init_cfg=dict(checkpoint='mmdefusion://backbone')
)
nano_pyramid = dict(
    type='mmdefusion.FusedFeaturePyramid',
    in_channels=4 * 192,
    out_channels=192,
    detail_channels=(96, 128),
    norm_cfg=dict(type='BN'),
)
