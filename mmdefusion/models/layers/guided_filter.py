# Copyright (c) mmdefusion authors. All rights reserved.
"""Smoothing that follows the brightness of two images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def _window_mean(planes: Tensor, radius: int) -> Tensor:
    """Means of (N, C, H, W) over squares of 2 ``radius`` + 1, of what lies inside of the image."""
    side = 2 * radius + 1
    rows = F.avg_pool2d(planes, (1, side), 1, (0, radius), count_include_pad=False)
    return F.avg_pool2d(rows, (side, 1), 1, (radius, 0), count_include_pad=False)


def guided_filter(plane: Tensor, guide1: Tensor, guide2: Tensor, radius: int, epsilon: float) -> Tensor:
    r"""Smooths a plane except where one of two guides changes.

    In each window the plane is fitted by :math:`a_1 g_1 + a_2 g_2 + b`, with :math:`\epsilon (a_1^2 + a_2^2)` as the
    price of following the guides; a pixel takes the mean of what the windows around it say. So where both guides are
    flat, the result is.

    Source: K. He, J. Sun and X. Tang, "Guided image filtering", TPAMI 2013, with a guide of two channels.

    Args:
        plane: What to smooth, (N, 1, H, W), float32.
        guide1: First guide, of the same shape, in [0, 1].
        guide2: Second guide.
        radius: Windows are squares of 2 ``radius`` + 1, cut at the border of the image.
        epsilon: Variance of a guide below which it counts as flat, more than 0.

    Returns:
        (N, 1, H, W).
    """
    products = (guide1 * guide1, guide2 * guide2, guide1 * guide2, guide1 * plane, guide2 * plane)
    means = _window_mean(torch.cat([guide1, guide2, plane, *products], dim=1), radius).split(1, dim=1)
    mean1, mean2, mean, square1, square2, product, with1, with2 = means
    variance1 = square1 - mean1 * mean1 + epsilon
    variance2 = square2 - mean2 * mean2 + epsilon
    covariance = product - mean1 * mean2
    with1 = with1 - mean1 * mean
    with2 = with2 - mean2 * mean
    determinant = variance1 * variance2 - covariance * covariance
    slope1 = (variance2 * with1 - covariance * with2) / determinant
    slope2 = (variance1 * with2 - covariance * with1) / determinant
    offset = mean - slope1 * mean1 - slope2 * mean2
    slope1, slope2, offset = _window_mean(torch.cat([slope1, slope2, offset], dim=1), radius).split(1, dim=1)
    return slope1 * guide1 + slope2 * guide2 + offset
