# Copyright (c) mmdefusion authors. All rights reserved.
"""Building blocks: token geometry, transformer layers, decomposition and fusion."""

from .arch import ARCHS, FusionArch, get_arch
from .decomposition import CommonUniqueDecomposition, DecomposedTokens, FeatureFusion, gather_tokens
from .detail_stem import DetailStem, init_conv
from .gradient_domain import (
    SCREENING_REACH,
    Gradient,
    divergence,
    forward_gradient,
    missing_divergence,
    solve_screened_poisson,
)
from .guided_filter import guided_filter
from .linear_map import Linear, linear
from .masking import check_mask_ratio, draw_visible, fill_masked, hidden_tokens
from .strips import in_strips
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
    'DetailStem',
    'FeatureFusion',
    'FusionArch',
    'Gradient',
    'Linear',
    'Mlp',
    'SCREENING_REACH',
    'TokenGrid',
    'WindowShift',
    'attend',
    'divergence',
    'check_mask_ratio',
    'draw_visible',
    'fill_masked',
    'forward_gradient',
    'gather_tokens',
    'get_arch',
    'guided_filter',
    'hidden_tokens',
    'in_strips',
    'init_conv',
    'linear',
    'missing_divergence',
    'patchify',
    'reflect_pad',
    'sincos_positions',
    'solve_screened_poisson',
    'to_map',
    'unpatchify',
    'window_shift',
]
