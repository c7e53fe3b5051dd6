# Copyright (c) mmdefusion authors. All rights reserved.
"""Edge transfer: Qabf (edges preserved) and Nabf (edges invented)."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from .luma import ImageLike, Luma, prepare


class Sigmoid(NamedTuple):
    """``gain / (1 + exp(slope (ratio - centre)))``, how much a preserved ratio is worth."""

    gain: float
    slope: float
    centre: float

    def __call__(self, ratio: np.ndarray) -> np.ndarray:
        """Apply to an array of ratios in [0, 1]."""
        return self.gain / (1 + np.exp(self.slope * (ratio - self.centre)))


QABF_STRENGTH = Sigmoid(0.9994, -15, 0.5)
QABF_ORIENTATION = Sigmoid(0.9879, -22, 0.8)
NABF_STRENGTH = Sigmoid(0.9999, -19, 0.5)
NABF_ORIENTATION = Sigmoid(0.9995, -22, 0.5)
NABF_THRESHOLD = 2.0
NABF_POWER = 1.5
NABF_MIN_WEIGHT = 0.001


def edge_preservation(a: ImageLike, b: ImageLike, f: ImageLike) -> float:
    """Qabf, the share of the sources' edge strength and orientation that the fused image preserves.

    Sobel gradients by convolution with zeros outside the image, ``gx`` = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]] and
    ``gy`` = [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]; orientation ``atan(gy / gx)``, pi/2 where ``gx`` is 0, its agreement
    ``1 - 2 |difference| / pi``, which goes down to -1; sigmoids .9994, -15, .5 (strength) and .9879, -22, .8
    (orientation); weights are the sources' strengths. Where the strengths of source and fused image are equal their
    ratio is that strength instead of 1: a slip of the code behind all published values, which moves the strength term
    of such a pixel by less than .0006.

    Source: C. S. Xydeas, V. Petrovic, "Objective image fusion performance measure", Electronics Letters 36 (2000);
    constants as in VIFB and CDDFuse.

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255].
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.

    Returns:
        float: In [0, .9754]; identical images come close to the largest value. 0 where neither source has an edge.
    """
    a, b, f = prepare(a, b, f)
    strength_f, angle_f = _xydeas_edges(f)
    preserved = total = 0.0
    for source in (a, b):
        strength, angle = _xydeas_edges(source)
        ratio = np.where(strength == strength_f, strength, _strength_ratio(strength, strength_f))
        worth = QABF_STRENGTH(ratio) * QABF_ORIENTATION(_orientation_agreement(angle, angle_f))
        preserved += float((worth * strength).sum(dtype=np.float64))
        total += float(strength.sum(dtype=np.float64))
    return preserved / total if total else 0.0


def edge_artifacts(a: ImageLike, b: ImageLike, f: ImageLike, *, style: str = 'kumar') -> float:
    """Nabf, the share of edge information in the fused image that neither source has. Lower is better.

    At pixels where the fused image's Sobel strength exceeds both sources', the weighted loss of edge preservation.
    Sobel kernels divided by 8, mirrored borders; sigmoids .9999, -19, .5 (strength) and .9995, -22, .5 (orientation),
    a source's preservation being the root of their product; weights are strength^1.5 from a strength of 2 on and .001
    below.

    Source: V. Petrovic, C. Xydeas, "Objective image fusion performance characterisation", ICCV 2005; B. K. Shreyamsha
    Kumar, "Multifocus and multispectral image fusion based on pixel significance using discrete cosine harmonic
    wavelet transform", SIViP 7 (2013). The thresholds hold for gray levels 0..255: published values from images in
    [0, 1] see no strength above 2, weigh all pixels alike and do not compare.

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255], at least 2x2.
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.
        style (str): ``'kumar'`` weighs each source's loss by its own weight; ``'petrovic'`` weighs the sum of both
            losses by the sum of both weights, so that Qabf + Labf + Nabf can exceed 1.

    Returns:
        float: In [0, 1] (Kumar); 0 where the fused image is nowhere stronger than both sources.
    """
    if style not in ('kumar', 'petrovic'):
        raise ValueError(f"style must be 'kumar' or 'petrovic', found {style!r}")
    a, b, f = prepare(a, b, f)
    strength_f, angle_f = _kumar_edges(f)
    invented = np.ones(f.shape, dtype=bool)
    losses, weights = [], []
    for source in (a, b):
        strength, angle = _kumar_edges(source)
        worth = NABF_STRENGTH(_strength_ratio(strength, strength_f))
        worth *= NABF_ORIENTATION(np.abs(_orientation_agreement(angle, angle_f)))
        losses.append(1 - np.sqrt(worth))
        weights.append(np.where(strength >= NABF_THRESHOLD, strength**NABF_POWER, NABF_MIN_WEIGHT))
        invented &= strength_f > strength
    total = float((weights[0] + weights[1]).sum(dtype=np.float64))
    if style == 'kumar':
        lost = losses[0] * weights[0] + losses[1] * weights[1]
    else:
        lost = (losses[0] + losses[1]) * (weights[0] + weights[1])
    return float(lost[invented].sum(dtype=np.float64)) / total


def _xydeas_edges(image: Luma) -> tuple[np.ndarray, np.ndarray]:
    # Convolution mirrors the kernels: gx is minus OpenCV's correlation, gy, written upside down, equals it.
    gx = -cv2.Sobel(image.pixels, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_CONSTANT)
    gy = cv2.Sobel(image.pixels, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_CONSTANT)
    quotient = np.divide(gy, gx, out=np.full(gx.shape, np.inf, dtype=np.float32), where=gx != 0)
    # Sums of squares of integers below 2^24 are exact in float32, so equal strengths compare as equal.
    return np.sqrt(gx * gx + gy * gy), np.arctan(quotient)


def _kumar_edges(image: Luma) -> tuple[np.ndarray, np.ndarray]:
    border = cv2.BORDER_REFLECT_101
    gx = cv2.Sobel(image.pixels, cv2.CV_32F, 1, 0, scale=1 / 8, borderType=border)
    gy = cv2.Sobel(image.pixels, cv2.CV_32F, 0, 1, scale=1 / 8, borderType=border)
    vertical = np.where(gx == 0, np.float32(0), np.copysign(np.float32(np.inf), gx))
    quotient = np.divide(gx, gy, out=vertical, where=gy != 0)
    return np.sqrt(gx * gx + gy * gy), np.arctan(quotient)


def _strength_ratio(source: np.ndarray, fused: np.ndarray) -> np.ndarray:
    larger = np.maximum(source, fused)
    return np.divide(np.minimum(source, fused), larger, out=np.zeros(larger.shape, larger.dtype), where=larger > 0)


def _orientation_agreement(source: np.ndarray, fused: np.ndarray) -> np.ndarray:
    """1 for equal orientations, 0 for orthogonal ones, -1 for a difference of pi."""
    return 1 - np.abs(source - fused) * np.float32(2 / np.pi)
