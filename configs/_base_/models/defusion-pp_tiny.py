# The published network: ViT-T/16 encoder with global attention, 12.75 M parameters.
model = dict(
    type='DeFusionPP',
    data_preprocessor=dict(type='FusionDataPreprocessor'),
    backbone=dict(type='DeFusionViT', arch='tiny'),
    neck=dict(type='DeFusionDecoder', arch='tiny', mask_ratio=0.75),
    target_generator=dict(type='CUDTargetGenerator'),
    head=dict(
        type='DeFusionHead',
        common_weight=20.0,
        unique_weight=10.0,
        fused_weight=100.0,
        ssim_weight=50.0,
        masked_weight=2.0,
    ),
)
