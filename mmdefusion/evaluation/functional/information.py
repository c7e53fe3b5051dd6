# Copyright (c) mmdefusion authors. All rights reserved.
"""Information measures from gray level histograms: EN, MI, NMI and CE."""

from __future__ import annotations

import math

import numpy as np

from .luma import ImageLike, Luma, as_luma, combine, prepare

UNITS = {'bits': 1.0, 'nats': math.log(2)}


def entropy(image: ImageLike, *, unit: str = 'bits') -> float:
    """EN, the Shannon entropy ``-sum p log p`` of the 256-bin histogram.

    Source: J. W. Roberts, J. A. van Aardt, F. B. Ahmed, "Assessment of image fusion procedures using entropy, image
    quality, and multispectral classification", J. Appl. Remote Sensing 2 (2008).

    Args:
        image (np.ndarray): The fused image, (H, W) or (H, W, 3) BGR, values in [0, 255].
        unit (str): ``'bits'`` or ``'nats'``.

    Returns:
        float: In [0, 8] bits; 0 for a constant image.
    """
    return _entropy_bits(as_luma(image).histogram) * _scale(unit)


def mutual_information(
    a: ImageLike, b: ImageLike, f: ImageLike, *, unit: str = 'bits', reduction: str = 'sum'
) -> float:
    """MI, ``I(a; f) + I(b; f)`` from joint 256x256 histograms.

    Source: G. Qu, D. Zhang, P. Yan, "Information measure for performance of image fusion", Electronics Letters 38
    (2002). VIFB prints nats, of images that it min-max stretches first: its values do not compare with these.

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255].
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.
        unit (str): ``'bits'`` or ``'nats'``.
        reduction (str): ``'sum'`` or ``'mean'`` over the sources.

    Returns:
        float: At least 0; a constant source adds 0.
    """
    a, b, f = prepare(a, b, f)
    return combine(_mutual_bits(a, f), _mutual_bits(b, f), reduction) * _scale(unit)


def normalized_mutual_information(a: ImageLike, b: ImageLike, f: ImageLike) -> float:
    """NMI or Q_MI, ``2 [I(a; f) / (H(a) + H(f)) + I(b; f) / (H(b) + H(f))]``.

    Source: M. Hossny, S. Nahavandi, D. Creighton, "Comments on 'Information measure for performance of image
    fusion'", Electronics Letters 44 (2008).

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255].
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.

    Returns:
        float: In [0, 2], 2 where both sources equal the fused image. A term whose entropies are both 0 is 0.
    """
    a, b, f = prepare(a, b, f)
    value = 0.0
    for source in (a, b):
        total = _entropy_bits(source.histogram) + _entropy_bits(f.histogram)
        if total > 0:
            value += 2 * _mutual_bits(source, f) / total
    return value


def cross_entropy(a: ImageLike, b: ImageLike, f: ImageLike, *, unit: str = 'bits', reduction: str = 'mean') -> float:
    """CE, the mean of ``sum p log(p / q)`` between each source's histogram p and the fused image's q. Lower is better.

    Gray levels that either histogram lacks are left out, as all published code does; the sum is then no divergence:
    it can be negative, and it is 0 where the histograms have no level in common.

    Source: D. M. Bulanon, T. F. Burks, V. Alchanatis, "Image fusion of visible and thermal images for fruit
    detection", Biosystems Engineering 103 (2009), as computed by VIFB.

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255].
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.
        unit (str): ``'bits'`` or ``'nats'``.
        reduction (str): ``'mean'`` or ``'sum'`` over the sources.

    Returns:
        float: 0 where both sources have the fused image's histogram.
    """
    a, b, f = prepare(a, b, f)
    of_a, of_b = (_relative_bits(source.histogram, f.histogram) for source in (a, b))
    return combine(of_a, of_b, reduction) * _scale(unit)


def _scale(unit: str) -> float:
    if unit not in UNITS:
        raise ValueError(f'unit must be one of {tuple(UNITS)}, found {unit!r}')
    return UNITS[unit]


def _entropy_bits(probabilities: np.ndarray) -> float:
    occupied = probabilities[probabilities > 0]
    # max() because -(1 * log2(1)) is -0.0.
    return max(0.0, float(-(occupied * np.log2(occupied)).sum()))


def _mutual_bits(source: Luma, f: Luma) -> float:
    joint = _entropy_bits(source.joint_histogram(f))
    return max(0.0, _entropy_bits(source.histogram) + _entropy_bits(f.histogram) - joint)


def _relative_bits(p: np.ndarray, q: np.ndarray) -> float:
    both = (p > 0) & (q > 0)
    return float((p[both] * np.log2(p[both] / q[both])).sum())
