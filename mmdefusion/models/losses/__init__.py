# Copyright (c) mmdefusion authors. All rights reserved.
"""Losses, and the differentiable measures that they are made of."""

from .fusion_quality import (
    contrast_shortfall,
    difference_correlation,
    edge_fidelity,
    exposure_fidelity,
    mutual_information,
    strongest_gradient_error,
    unfounded_steps,
    visual_fidelity,
)
from .ssim import ssim

__all__ = [
    'contrast_shortfall',
    'difference_correlation',
    'edge_fidelity',
    'exposure_fidelity',
    'mutual_information',
    'ssim',
    'strongest_gradient_error',
    'unfounded_steps',
    'visual_fidelity',
]
