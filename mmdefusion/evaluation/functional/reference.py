# Copyright (c) mmdefusion authors. All rights reserved.
"""Distances of a fused image from the true image, where it is known: PSNR, SSIM and GMSD."""

from __future__ import annotations

import cv2
import numpy as np

from .luma import ImageLike, Luma, as_luma, require_side
from .pixelwise import decibels, mean_squared_error
from .structural import ssim_of_two

PREWITT_SMOOTH = np.full(3, 1 / 3)
PREWITT_DERIVE = np.array([-1.0, 0.0, 1.0])
GMSD_CONSTANT = 170.0


def reference_psnr(reference: ImageLike, fused: ImageLike, *, max_db: float = 100.0) -> float:
    """PSNR of the luma against the true image, ``10 log10(255^2 / mse)``.

    Args:
        reference (np.ndarray): The true image, (H, W) or (H, W, 3) BGR, values in [0, 255].
        fused (np.ndarray): Fused image.
        max_db (float): Upper limit, which also stands for the infinite value of identical images.

    Returns:
        float: In dB.
    """
    reference, fused = prepare_two(reference, fused)
    return decibels(mean_squared_error(reference, fused), max_db)


def reference_ssim(reference: ImageLike, fused: ImageLike) -> float:
    """SSIM of the luma against the true image, window and constants as in :func:`.ssim`.

    Args:
        reference (np.ndarray): The true image, (H, W) or (H, W, 3) BGR, values in [0, 255], at least 11x11.
        fused (np.ndarray): Fused image.

    Returns:
        float: At most 1, 1 for identical images.
    """
    return ssim_of_two(*prepare_two(reference, fused))


def gmsd(reference: ImageLike, fused: ImageLike) -> float:
    """GMSD, gradient magnitude similarity deviation, a perceptual distance without a network. Lower is better.

    Both images are averaged over 2x2 blocks; the similarity ``(2 g h + 170) / (g^2 + h^2 + 170)`` of their Prewitt
    magnitudes g and h (kernels divided by 3) is formed at every pixel; the score is its sample standard deviation.
    Zeros lie outside the image, as in the authors' code.

    Source: W. Xue et al., "Gradient magnitude similarity deviation: a highly efficient perceptual image quality
    index", IEEE TIP 23 (2014).

    Args:
        reference (np.ndarray): The true image, (H, W) or (H, W, 3) BGR, values in [0, 255], at least 3x3.
        fused (np.ndarray): Fused image.

    Returns:
        float: At least 0, 0 for identical images.
    """
    reference, fused = prepare_two(reference, fused)
    require_side(fused, 3, 'GMSD')
    g, h = _prewitt_magnitude(reference), _prewitt_magnitude(fused)
    return float(((2 * g * h + GMSD_CONSTANT) / (g * g + h * h + GMSD_CONSTANT)).std(ddof=1))


def prepare_two(reference: ImageLike, fused: ImageLike) -> tuple[Luma, Luma]:
    """Wrap the true and the fused image and check that they have one size.

    Raises:
        ValueError: If heights or widths differ.
    """
    reference, fused = as_luma(reference, 'reference'), as_luma(fused, 'fused image')
    if reference.shape != fused.shape:
        raise ValueError(f'reference and fused image must have one size, found {reference.shape} and {fused.shape}')
    return reference, fused


def _prewitt_magnitude(image: Luma) -> np.ndarray:
    height, width = image.shape
    padded = np.pad(image.values, ((0, height % 2), (0, width % 2)))
    halved = (padded[::2, ::2] + padded[::2, 1::2] + padded[1::2, ::2] + padded[1::2, 1::2]) / 4
    gx = cv2.sepFilter2D(halved, -1, PREWITT_DERIVE, PREWITT_SMOOTH, borderType=cv2.BORDER_CONSTANT)
    gy = cv2.sepFilter2D(halved, -1, PREWITT_SMOOTH, PREWITT_DERIVE, borderType=cv2.BORDER_CONSTANT)
    return np.sqrt(gx * gx + gy * gy)
