# Copyright (c) mmdefusion authors. All rights reserved.
"""Differentiable structural similarity."""

from __future__ import annotations

import torch
from torch import Tensor


def _gaussian(window: int, sigma: float, like: Tensor) -> Tensor:
    offset = torch.arange(window, device=like.device, dtype=like.dtype) - (window - 1) / 2
    weight = torch.exp(-(offset**2) / (2 * sigma**2))
    return weight / weight.sum()


def _filter_matrix(size: int, kernel: Tensor) -> Tensor:
    """The 1-D filter over the valid region as a banded matrix, (size, size - window + 1)."""
    window = kernel.numel()
    offset = torch.arange(size, device=kernel.device)[:, None] - torch.arange(size - window + 1, device=kernel.device)
    return torch.where((offset >= 0) & (offset < window), kernel[offset.clamp(0, window - 1)], kernel.new_zeros(()))


def _blur(image: Tensor, kernel: Tensor) -> Tensor:
    """Separable filter of the valid region: (..., H, W) -> (..., H-k+1, W-k+1).

    As matrix products: forward and backward together they are several times quicker on a CPU than depthwise
    convolutions, at the crop sizes of training.
    """
    height, width = image.shape[-2:]
    return _filter_matrix(height, kernel).T @ (image @ _filter_matrix(width, kernel))


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
        kernel = _gaussian(window, sigma, x)
        # Apart, so that a target without gradient is not differentiated.
        mean_x, xx, xy = _blur(torch.stack([x, x * x, x * y]), kernel)
        mean_y, yy = _blur(torch.stack([y, y * y]), kernel)
        c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
        luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        structure = (2 * (xy - mean_x * mean_y) + c2) / (xx - mean_x**2 + yy - mean_y**2 + c2)
        return (luminance * structure).mean(dim=(1, 2, 3))
