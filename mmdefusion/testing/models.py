# Copyright (c) mmdefusion authors. All rights reserved.
"""Networks small enough for a test."""

from __future__ import annotations

import os

#: Sizes of the test network, see :func:`mmdefusion.models.layers.get_arch`.
TINY_ARCH = dict(embed_dims=16, depth=2, num_heads=2, patch_size=4, window_size=4, cross_heads=2, cross_dropout=0.0)
#: Sizes of the test teacher, see ``MAEViT``.
TINY_TEACHER = dict(img_size=16, patch_size=8, embed_dims=12, depth=2, num_heads=3)


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


def tiny_mcud_cfg(checkpoint: str | os.PathLike, **arch: object) -> dict:
    """The same with the losses of multi-modal pairs, both teachers from one file.

    Args:
        checkpoint: Weights of ``MAEViT(**TINY_TEACHER)``.
        **arch: Sizes to change.
    """
    encoder = dict(type='mmdefusion.MAEViT', **TINY_TEACHER)
    teacher = dict(type='mmdefusion.FrozenEncoder', encoder=encoder, checkpoint=str(checkpoint))
    return dict(
        **tiny_model_cfg(**arch),
        teachers=[teacher, teacher],
        mcud_head=dict(type='mmdefusion.MCUDHead', arch={**TINY_ARCH, **arch}, teacher_dims=(12, 12)),
    )
