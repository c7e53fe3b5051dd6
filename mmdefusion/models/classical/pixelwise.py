# Copyright (c) mmdefusion authors. All rights reserved.
"""Fusion pixel by pixel, and what all classical methods share: 8 bits in, 8 bits out."""

from __future__ import annotations

import numpy as np


def fuse_average(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean of the sources at each pixel, halves rounded to even.

    Args:
        a: Luma of the first source, (H, W), uint8.
        b: Luma of the second source.

    Returns:
        The fused luma, (H, W), uint8.

    Raises:
        TypeError: If a source is not uint8.
        ValueError: If the sources are not two images of one size.
    """
    check_sources(a, b)
    return to_8_bits((a.astype(np.float64) + b) / 2)


def fuse_maximum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Larger value of the sources at each pixel.

    MI, VIF and Qabf reward copying the brighter source: on them this beats most published networks.

    Args:
        a: Luma of the first source, (H, W), uint8.
        b: Luma of the second source.

    Returns:
        The fused luma, (H, W), uint8.

    Raises:
        TypeError: If a source is not uint8.
        ValueError: If the sources are not two images of one size.
    """
    check_sources(a, b)
    return np.maximum(a, b)


def check_sources(a: np.ndarray, b: np.ndarray) -> None:
    """Make sure that two arrays are 8-bit lumas of one size.

    Args:
        a: First source.
        b: Second source.

    Raises:
        TypeError: If a source is not uint8.
        ValueError: If the sources are not two images of one size.
    """
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise TypeError(f'expected two uint8 lumas, found {a.dtype} and {b.dtype}')
    if a.ndim != 2 or a.shape != b.shape or a.size == 0:
        raise ValueError(f'expected two lumas of one shape (H, W), found {a.shape} and {b.shape}')


def to_8_bits(values: np.ndarray) -> np.ndarray:
    """Round to the nearest gray level and clip to [0, 255], never stretch.

    Args:
        values: Gray levels of any floating point type.

    Returns:
        uint8 of the same shape.
    """
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
