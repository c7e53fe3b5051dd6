# Copyright (c) mmdefusion authors. All rights reserved.
"""Structural similarity for multi-exposure fusion: MEF-SSIM at one scale and at three."""

from __future__ import annotations

import numpy as np

from .luma import ImageLike, Plane, Window, prepare, require_side

WINDOWS = {'box': (Window(8), Window(8)), 'gaussian': (Window(11), Window(11, 1.5))}
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001)
C2 = (0.03 * 255) ** 2
MAX_EXPONENT = 10.0
STRENGTH_OFFSET = 1e-3
EPS = float(np.finfo(np.float64).eps)


def mef_ssim(a: ImageLike, b: ImageLike, f: ImageLike, *, window: str = 'box') -> float:
    r"""MEF-SSIM at one scale, without a luminance term.

    In every window the sources are split into signal strength :math:`c_k = \|x_k - \mu_k\|` and structure
    :math:`s_k = (x_k - \mu_k) / c_k`. The wanted patch has the largest strength and the direction of
    :math:`\sum_k c_k^p s_k`, with :math:`p = \min(\tan(\pi R / 2), 10)` and the consistency
    :math:`R = \|\sum_k (x_k - \mu_k)\| / \sum_k c_k`; the score is the mean contrast-structure similarity (K .03,
    peak 255) of that patch and the fused one.

    Source: K. Ma, K. Zeng, Z. Wang, "Perceptual quality assessment for multi-exposure image fusion", IEEE TIP 24
    (2015). As in the authors' code, :math:`c_k` is divided by the window's side before the power and .001 is added
    to it.

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255], at least as large as the window.
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.
        window (str): ``'box'``, 8x8, or ``'gaussian'``, the authors': strength and consistency in 11x11 boxes,
            similarity under a Gaussian of 11 pixels and sigma 1.5.

    Returns:
        float: At most 1; 1 where both sources equal the fused image.
    """
    a, b, f = prepare(a, b, f)
    require_side(f, _windows(window)[0].size, 'MEF-SSIM')
    return _single_scale(a, b, f, window)


def multi_scale_mef_ssim(a: ImageLike, b: ImageLike, f: ImageLike, *, window: str = 'gaussian') -> float:
    """MEF-MS-SSIM, the weighted geometric mean of MEF-SSIM at three scales.

    Weights .0448, .2856, .3001, divided by their sum; 2x2 averages between scales. With the default window this is
    what the authors publish and most papers call MEF-SSIM. A negative mean of a scale counts as 0.

    Source: as :func:`mef_ssim`.

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255], at least 41x41 (box: 29x29).
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.
        window (str): ``'gaussian'`` or ``'box'``, see :func:`mef_ssim`.

    Returns:
        float: In [0, 1]; 1 where both sources equal the fused image.
    """
    planes: tuple[Plane, Plane, Plane] = prepare(a, b, f)
    side = (_windows(window)[0].size - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1
    require_side(planes[2], side, 'MEF-MS-SSIM')
    value = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        if scale:
            planes = tuple(plane.half for plane in planes)
        value *= max(_single_scale(*planes, window), 0.0) ** (weight / sum(SCALE_WEIGHTS))
    return value


def _windows(name: str) -> tuple[Window, Window]:
    if name not in WINDOWS:
        raise ValueError(f'window must be one of {tuple(WINDOWS)}, found {name!r}')
    return WINDOWS[name]


def _single_scale(a: Plane, b: Plane, f: Plane, window: str) -> float:
    box, similarity_window = _windows(window)
    variance_a, variance_b, cross = a.variance(box), b.variance(box), a.covariance(b, box)
    strength_a, strength_b = (box.size * np.sqrt(variance) for variance in (variance_a, variance_b))

    # The mean over the window of a sum of centred patches is 0, so all norms follow from variances and covariance.
    summed = box.size * np.sqrt(np.maximum(variance_a + variance_b + 2 * cross, 0))
    consistency = np.minimum((summed + EPS) / (strength_a + strength_b + EPS), 1 - EPS)
    exponent = np.minimum(np.tan(np.pi / 2 * consistency), MAX_EXPONENT)

    strength_a += STRENGTH_OFFSET
    strength_b += STRENGTH_OFFSET
    power_a = np.power(strength_a / box.size, exponent) + EPS
    power_b = np.power(strength_b / box.size, exponent) + EPS
    factor_a = power_a / (power_a + power_b) / strength_a
    factor_b = power_b / (power_a + power_b) / strength_b
    norm = box.size * np.sqrt(np.maximum(_quadratic(factor_a, factor_b, variance_a, variance_b, cross), 0))
    # Two flat patches have no direction: the wanted patch is flat, too.
    scale = np.divide(np.maximum(strength_a, strength_b), norm, out=np.zeros(norm.shape), where=norm > 0)
    factor_a *= scale
    factor_b *= scale

    moments = (a.variance(similarity_window), b.variance(similarity_window), a.covariance(b, similarity_window))
    wanted = np.maximum(_quadratic(factor_a, factor_b, *moments), 0)
    shared = factor_a * a.covariance(f, similarity_window) + factor_b * b.covariance(f, similarity_window)
    return float(((2 * shared + C2) / (wanted + f.variance(similarity_window) + C2)).mean())


def _quadratic(x: np.ndarray, y: np.ndarray, xx: np.ndarray, yy: np.ndarray, xy: np.ndarray) -> np.ndarray:
    return x * x * xx + y * y * yy + 2 * x * y * xy
