# What the training of nano does with a photo before it is degraded into two views: crops of 160 pixels.
photo_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=160, crop_ratio_range=(0.25, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    # Noise is bright. Without negatives, and nights with lamps, whatever is bright would be taken for noise.
    dict(type='RandomInvert', prob=0.5),
    # Brightness as published: pairs taken at night are as dark. Contrast is milder than its 0.1 to 1.
    dict(
        type='PhotometricJitter',
        brightness=(0.1, 1.0),
        contrast=(0.5, 1.0),
        saturation=(0.1, 1.0),
        gamma=(0.5, 4.0),
    ),
    # Cells as large as in crops of 224 pixels.
    dict(type='RandomCUDMasks', coarse=9, fine=(18, 19)),
    dict(type='PackFusionInputs'),
]
