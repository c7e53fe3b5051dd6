# Copyright (c) mmdefusion authors. All rights reserved.
"""Structural similarity: SSIM, MS-SSIM and Q_Y."""

from __future__ import annotations

import numpy as np

from .luma import ImageLike, Luma, Plane, Window, combine, prepare, require_side

SSIM_WINDOW = Window(11, 1.5)
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

YANG_WINDOW = Window(7, 1.5)
YANG_THRESHOLD = 0.75
# Below the smallest variance that 8-bit pixels can have under this window (1.3e-3), above rounding errors.
YANG_FLAT = 1e-6


def ssim(a: ImageLike, b: ImageLike, f: ImageLike, *, reduction: str = 'mean') -> float:
    """SSIM, the mean of SSIM(a, f) and SSIM(b, f).

    Gaussian window of 11 pixels and sigma 1.5, K1 .01, K2 .03, peak 255, population covariance, mean over the
    positions where the whole window lies inside the image.

    Source: Z. Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 13
    (2004). VIFB and many papers print the sum over the sources.

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255], at least 11x11.
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.
        reduction (str): ``'mean'`` or ``'sum'`` over the sources.

    Returns:
        float: At most 1 (mean), 1 where both sources equal the fused image.
    """
    a, b, f = prepare(a, b, f)
    return combine(ssim_of_two(a, f), ssim_of_two(b, f), reduction)


def multi_scale_ssim(a: ImageLike, b: ImageLike, f: ImageLike, *, reduction: str = 'mean') -> float:
    """MS-SSIM, the mean of the five-scale SSIM of each source with the fused image.

    Product of the mean contrast-structure terms of five scales and the mean luminance term of the coarsest, raised to
    the weights .0448, .2856, .3001, .2363, .1333; 2x2 averages between scales. A negative mean of a term, whose
    power is not real, counts as 0.

    Source: Z. Wang, E. P. Simoncelli, A. C. Bovik, "Multi-scale structural similarity for image quality assessment",
    Asilomar 2003.

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255], at least 161x161.
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.
        reduction (str): ``'mean'`` or ``'sum'`` over the sources.

    Returns:
        float: In [0, 1] (mean), 1 where both sources equal the fused image.
    """
    a, b, f = prepare(a, b, f)
    return combine(multi_scale_ssim_of_two(a, f), multi_scale_ssim_of_two(b, f), reduction)


def yang_quality(a: ImageLike, b: ImageLike, f: ImageLike) -> float:
    """Q_Y, Yang's similarity-based quality.

    Where SSIM(a, b) >= .75 the SSIMs with f are averaged with the sources' local variances as weights, elsewhere the
    larger of them counts. SSIM here has no stabilising constants and a Gaussian window of 7 pixels and sigma 1.5.

    Source: C. Yang et al., "A novel similarity based quality metric for image fusion", Information Fusion 9 (2008);
    window and constants as in Z. Liu's toolbox, which VIFB and MEFB use. What that code leaves undefined is set here:
    a ratio 0/0 (two flat or two black windows) is a similarity of 1, and two flat sources weigh the same.

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255], at least 7x7.
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.

    Returns:
        float: At most 1, 1 where both sources equal the fused image.
    """
    a, b, f = prepare(a, b, f)
    require_side(f, YANG_WINDOW.size, 'Q_Y')
    # No other metric uses this window: planes of their own free its moments on return.
    a, b, f = (Plane(image.values) for image in (a, b, f))
    with_a, with_b = _plain_ssim_map(a, f), _plain_ssim_map(b, f)
    variance_a, variance_b = a.variance(YANG_WINDOW), b.variance(YANG_WINDOW)
    flat = variance_a + variance_b < YANG_FLAT
    weight = np.divide(variance_a, variance_a + variance_b, out=np.full(flat.shape, 0.5), where=~flat)
    weighted = weight * with_a + (1 - weight) * with_b
    return float(np.where(_plain_ssim_map(a, b) >= YANG_THRESHOLD, weighted, np.maximum(with_a, with_b)).mean())


def ssim_of_two(x: Luma, y: Luma) -> float:
    """Mean SSIM of two images."""
    require_side(x, SSIM_WINDOW.size, 'SSIM')
    luminance, contrast_structure = _ssim_maps(x, y)
    return float((luminance * contrast_structure).mean())


def multi_scale_ssim_of_two(x: Luma, y: Luma) -> float:
    """Five-scale SSIM of two images."""
    # The coarsest of five scales is 1/16 of the image, rounded up.
    require_side(x, (SSIM_WINDOW.size - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1, 'MS-SSIM')
    value, luminance = 1.0, np.ones(1)
    for scale, weight in enumerate(SCALE_WEIGHTS):
        if scale:
            x, y = x.half, y.half
        luminance, contrast_structure = _ssim_maps(x, y)
        if scale == len(SCALE_WEIGHTS) - 1:
            value *= float(luminance.mean()) ** weight
        value *= max(float(contrast_structure.mean()), 0.0) ** weight
    return value


def _ssim_maps(x: Plane, y: Plane) -> tuple[np.ndarray, np.ndarray]:
    mean_x, mean_y = x.mean(SSIM_WINDOW), y.mean(SSIM_WINDOW)
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    variances = x.variance(SSIM_WINDOW) + y.variance(SSIM_WINDOW)
    return luminance, (2 * x.covariance(y, SSIM_WINDOW) + C2) / (variances + C2)


def _plain_ssim_map(x: Plane, y: Plane) -> np.ndarray:
    mean_x, mean_y = x.mean(YANG_WINDOW), y.mean(YANG_WINDOW)
    means = mean_x**2 + mean_y**2
    variances = x.variance(YANG_WINDOW) + y.variance(YANG_WINDOW)
    similarity = np.ones(means.shape)
    np.divide(2 * mean_x * mean_y, means, out=similarity, where=means > 0)
    ratio = np.ones(means.shape)
    np.divide(2 * x.covariance(y, YANG_WINDOW), variances, out=ratio, where=variances > YANG_FLAT)
    return similarity * ratio
