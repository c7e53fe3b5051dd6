# Masked autoencoder as published: ViT-B/16 encoder, decoder of 8 blocks, 512 wide; 111.7 M parameters.
model = dict(
    type='MAE',
    data_preprocessor=dict(type='FusionDataPreprocessor'),
    backbone=dict(type='MAEViT', img_size=224, patch_size=16, embed_dims=768, depth=12, num_heads=12),
    neck=dict(
        type='MAEDecoder',
        in_dims=768,
        patch_size=16,
        embed_dims=512,
        depth=8,
        num_heads=16,
        mask_ratio=0.75,
    ),
    head=dict(type='MAEHead', patch_size=16, norm_pix=True),
)
