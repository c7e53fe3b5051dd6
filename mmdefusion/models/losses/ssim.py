# Copyright (c) mmdefusion authors. All rights reserved.
"""Differentiable structural similarity."""

from __future__ import annotations

import torch
from torch import Tensor

from .filters import gaussian_kernel, smooth


def ssim(x: Tensor, y: Tensor, window: int = 11, sigma: float = 1.5, data_range: float = 1.0) -> Tensor:
    """Structural similarity (Wang et al. 2004) with a Gaussian window over the valid region, in float32.

    Uses K1 = 0.01, K2 = 0.03 and population covariances.

    Args:
        x: Images, (N, C, H, W), H and W at least ``window``.
        y: Images of the same shape.
        window: Side of the window in pixels.
        sigma: Standard deviation of the window in pixels.
        data_range: Span of possible values.

    Returns:
        Mean over channels and pixels for each sample, (N,), at most 1.

    Raises:
        ValueError: The shapes differ, or the images are smaller than the window.
    """
    if x.shape != y.shape or x.dim() != 4 or min(x.shape[-2:]) < window:
        raise ValueError(
            f'SSIM needs two batches of one shape (N, C, H, W) with sides of at least {window} pixels, '
            f'got {tuple(x.shape)} and {tuple(y.shape)}'
        )
    with torch.autocast(x.device.type, enabled=False):
        x, y = x.float(), y.float()
        kernel = gaussian_kernel(window, sigma)
        # Apart, so that a target without gradient is not differentiated.
        mean_x, xx, xy = smooth(torch.stack([x, x * x, x * y]), kernel)
        mean_y, yy = smooth(torch.stack([y, y * y]), kernel)
        c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
        luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        structure = (2 * (xy - mean_x * mean_y) + c2) / (xx - mean_x**2 + yy - mean_y**2 + c2)
        return (luminance * structure).mean(dim=(1, 2, 3))
