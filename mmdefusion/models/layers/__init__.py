# Copyright (c) mmdefusion authors. All rights reserved.
"""Building blocks: token geometry, transformer layers, decomposition and fusion."""

from .arch import ARCHS, FusionArch, get_arch
from .decomposition import CommonUniqueDecomposition, DecomposedTokens, FeatureFusion, gather_tokens
from .masking import draw_visible, fill_masked
from .token_grid import (
    TokenGrid,
    WindowShift,
    patchify,
    reflect_pad,
    sincos_positions,
    to_map,
    unpatchify,
    window_shift,
)
from .transformer import Attention, Block, CrossAttentionLayer, Mlp, attend

__all__ = [
    'ARCHS',
    'Attention',
    'Block',
    'CommonUniqueDecomposition',
    'CrossAttentionLayer',
    'DecomposedTokens',
    'FeatureFusion',
    'FusionArch',
    'Mlp',
    'TokenGrid',
    'WindowShift',
    'attend',
    'draw_visible',
    'fill_masked',
    'gather_tokens',
    'get_arch',
    'patchify',
    'reflect_pad',
    'sincos_positions',
    'to_map',
    'unpatchify',
    'window_shift',
]
