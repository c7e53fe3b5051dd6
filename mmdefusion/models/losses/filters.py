# Copyright (c) mmdefusion authors. All rights reserved.
"""Differentiable local filters."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


def gaussian_kernel(window: int, sigma: float) -> list[float]:
    """A 1-D Gaussian of ``window`` numbers that sum to 1."""
    weights = [math.exp(-((tap - (window - 1) / 2) ** 2) / (2 * sigma**2)) for tap in range(window)]
    return [weight / sum(weights) for weight in weights]


class _Correlate(torch.autograd.Function):
    """Correlation with a few numbers along one dimension, over the valid region, as a sum of shifted images.

    Half the time of a product with a banded matrix and a tenth of that of a depthwise convolution on a CPU.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, image: Tensor, taps: list[float], dim: int) -> Tensor:
        ctx.taps, ctx.dim, ctx.size = taps, dim, image.size(dim)
        size = image.size(dim) - len(taps) + 1
        result = image.narrow(dim, 0, size) * taps[0]
        for offset, tap in enumerate(taps[1:], 1):
            result.add_(image.narrow(dim, offset, size), alpha=tap)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None]:
        shape = list(grad.shape)
        shape[ctx.dim] = ctx.size
        result = grad.new_zeros(shape)
        for offset, tap in enumerate(ctx.taps):
            result.narrow(ctx.dim, offset, grad.size(ctx.dim)).add_(grad, alpha=tap)
        return result, None, None


def smooth(image: Tensor, kernel: list[float]) -> Tensor:
    """Separable filter of the valid region: (..., H, W) -> (..., H-k+1, W-k+1)."""
    return _Correlate.apply(_Correlate.apply(image, kernel, -1), kernel, -2)


def sobel(image: Tensor) -> Tensor:
    """Sobel derivatives of the valid region: (N, 1, H, W) -> (N, 2, H-2, W-2), along the row and along the column."""
    across = image.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    return F.conv2d(image, torch.stack([across, across.T])[:, None])
