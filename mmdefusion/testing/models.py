# Copyright (c) mmdefusion authors. All rights reserved.
"""A network small enough for a test."""

from __future__ import annotations

#: Sizes of the test network, see :func:`mmdefusion.models.layers.get_arch`.
TINY_ARCH = dict(embed_dims=16, depth=2, num_heads=2, patch_size=4, window_size=4, cross_heads=2, cross_dropout=0.0)


def tiny_model_cfg(**arch: object) -> dict:
    """Config of a whole ``DeFusionPP`` with 4x4 patches in 4x4 windows, 16 wide.

    Args:
        **arch: Sizes to change.
    """
    sizes = {**TINY_ARCH, **arch}
    return dict(
        type='mmdefusion.DeFusionPP',
        data_preprocessor=dict(type='mmdefusion.FusionDataPreprocessor'),
        backbone=dict(type='mmdefusion.DeFusionViT', arch=sizes),
        neck=dict(type='mmdefusion.DeFusionDecoder', arch=sizes),
        target_generator=dict(type='mmdefusion.CUDTargetGenerator'),
        head=dict(type='mmdefusion.DeFusionHead'),
    )
