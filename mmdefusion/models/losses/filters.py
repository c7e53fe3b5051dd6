# Copyright (c) mmdefusion authors. All rights reserved.
"""Differentiable local filters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_kernel(window: int, sigma: float, like: Tensor) -> Tensor:
    """A 1-D Gaussian that sums to 1, (window,), of the type and device of ``like``."""
    offset = torch.arange(window, device=like.device, dtype=like.dtype) - (window - 1) / 2
    weight = torch.exp(-(offset**2) / (2 * sigma**2))
    return weight / weight.sum()


def _filter_matrix(size: int, kernel: Tensor) -> Tensor:
    """The 1-D filter over the valid region as a banded matrix, (size, size - window + 1)."""
    window = kernel.numel()
    offset = torch.arange(size, device=kernel.device)[:, None] - torch.arange(size - window + 1, device=kernel.device)
    return torch.where((offset >= 0) & (offset < window), kernel[offset.clamp(0, window - 1)], kernel.new_zeros(()))


def smooth(image: Tensor, kernel: Tensor) -> Tensor:
    """Separable filter of the valid region: (..., H, W) -> (..., H-k+1, W-k+1).

    As matrix products: forward and backward together they are several times quicker on a CPU than depthwise
    convolutions, at the crop sizes of training.
    """
    height, width = image.shape[-2:]
    return _filter_matrix(height, kernel).T @ (image @ _filter_matrix(width, kernel))


def sobel(image: Tensor) -> Tensor:
    """Sobel derivatives of the valid region: (N, 1, H, W) -> (N, 2, H-2, W-2), along the row and along the column."""
    across = image.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    return F.conv2d(image, torch.stack([across, across.T])[:, None])
