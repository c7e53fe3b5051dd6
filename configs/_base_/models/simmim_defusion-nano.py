# Masked image modeling of the encoder of nano.
model = dict(
    type='SimMIM',
    data_preprocessor=dict(type='FusionDataPreprocessor'),
    backbone=dict(type='DeFusionViT', arch='nano'),
    neck=dict(type='SimMIMDecoder', arch='nano', mask_ratio=0.6),
    # Infrared skies are flat: below a step or two of gray levels there is nothing to predict.
    head=dict(type='MAEHead', patch_size=16, norm_pix=True, eps=1e-4),
)
