# Copyright (c) mmdefusion authors. All rights reserved.
"""Statistics of pixels and of their differences: SD, SF, AG, CC, SCD and PSNR."""

from __future__ import annotations

import math

import numpy as np

from .luma import ImageLike, Luma, as_luma, combine, prepare, require_side

PEAK = 255.0
STYLES = ('mean', 'vifb')


def standard_deviation(image: ImageLike) -> float:
    """SD, the population standard deviation of the gray levels.

    Source: Y.-J. Rao, "In-fibre Bragg grating sensors", Meas. Sci. Technol. 8 (1997), the usual citation.

    Args:
        image (np.ndarray): The fused image, (H, W) or (H, W, 3) BGR, values in [0, 255].

    Returns:
        float: In [0, 127.5] gray levels.
    """
    return float(as_luma(image).values.std())


def spatial_frequency(image: ImageLike, *, style: str = 'mean') -> float:
    """SF, ``sqrt(mean(row difference^2) + mean(column difference^2))`` of neighbouring pixels.

    Source: A. M. Eskicioglu, P. S. Fisher, "Image quality measures and their performance", IEEE Trans. Communications
    43 (1995).

    Args:
        image (np.ndarray): The fused image, (H, W) or (H, W, 3) BGR, values in [0, 255].
        style (str): ``'mean'`` divides each sum by its number of differences, ``'vifb'`` by the number of pixels.

    Returns:
        float: In gray levels; 0 for a constant image.
    """
    values = as_luma(image).values
    _check_style(style)
    total = 0.0
    for differences in (np.diff(values, axis=0), np.diff(values, axis=1)):
        count = values.size if style == 'vifb' else differences.size
        total += float((differences**2).sum()) / max(count, 1)
    return math.sqrt(total)


def average_gradient(image: ImageLike, *, style: str = 'mean') -> float:
    """AG, the mean of ``sqrt((gx^2 + gy^2) / 2)`` with central differences, one-sided at the borders.

    Source: G. Cui et al., "Detail preserved fusion of visible and infrared images using regional saliency extraction
    and multi-scale image decomposition", Optics Communications 341 (2015).

    Args:
        image (np.ndarray): The fused image, (H, W) or (H, W, 3) BGR, values in [0, 255], at least 2x2.
        style (str): ``'mean'`` divides the sum by H W, ``'vifb'`` by (H - 1) (W - 1).

    Returns:
        float: In gray levels per pixel; 0 for a constant image.
    """
    image = as_luma(image)
    _check_style(style)
    require_side(image, 2, 'AG')
    gx, gy = image.gradient()
    total = float(np.sqrt((gx * gx + gy * gy) / 2).sum())
    height, width = image.shape
    return total / ((height - 1) * (width - 1) if style == 'vifb' else height * width)


def correlation_coefficient(a: ImageLike, b: ImageLike, f: ImageLike, *, reduction: str = 'mean') -> float:
    """CC, the mean of the Pearson correlations of each source with the fused image.

    Source: M. Deshmukh, U. Bhosale, "Image fusion and image quality assessment of fused images", IJIP 4 (2010).

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255].
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.
        reduction (str): ``'mean'`` or ``'sum'`` over the sources.

    Returns:
        float: In [-1, 1]; a correlation with a constant image is 0.
    """
    a, b, f = prepare(a, b, f)
    return combine(_pearson(a.values, f.values), _pearson(b.values, f.values), reduction)


def sum_of_correlations_of_differences(a: ImageLike, b: ImageLike, f: ImageLike) -> float:
    """SCD, ``corr(f - b, a) + corr(f - a, b)``.

    Source: V. Aslantas, E. Bendes, "A new image quality metric for image fusion: the sum of the correlations of
    differences", AEU 69 (2015).

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255].
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.

    Returns:
        float: In [-2, 2]; a correlation with a constant image is 0, so identical sources and fusion give 0.
    """
    a, b, f = prepare(a, b, f)
    return _pearson(f.values - b.values, a.values) + _pearson(f.values - a.values, b.values)


def psnr(a: ImageLike, b: ImageLike, f: ImageLike, *, max_db: float = 100.0) -> float:
    """PSNR, ``10 log10(255^2 / ((mse(a, f) + mse(b, f)) / 2))``.

    Source: P. Jagalingam, A. V. Hegde, "A review of quality metrics for fused image", Aquatic Procedia 4 (2015). Not
    comparable: mean squared errors of images in [0, 1] under a peak of 255 (48.13 dB more), and VIFB, whose "MSE" is
    the root of the summed squares divided by the number of pixels.

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255].
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.
        max_db (float): Upper limit, which also stands for the infinite value of identical images.

    Returns:
        float: In dB.
    """
    a, b, f = prepare(a, b, f)
    error = (mean_squared_error(a, f) + mean_squared_error(b, f)) / 2
    return decibels(error, max_db)


def mean_squared_error(x: Luma, y: Luma) -> float:
    """Mean of the squared differences of two images in squared gray levels."""
    return float(np.square(x.values - y.values).mean())


def decibels(error: float, max_db: float) -> float:
    """PSNR of a mean squared error, limited to ``max_db``."""
    return max_db if error == 0 else min(max_db, 10 * math.log10(PEAK**2 / error))


def _check_style(style: str) -> None:
    if style not in STYLES:
        raise ValueError(f'style must be one of {STYLES}, found {style!r}')


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    # Asked of the values, not of their variance, which rounding of the mean keeps above 0.
    if x.min() == x.max() or y.min() == y.max():
        return 0.0
    x, y = (x - x.mean()).ravel(), (y - y.mean()).ravel()
    return float(np.clip((x @ y) / math.sqrt((x @ x) * (y @ y)), -1, 1))
