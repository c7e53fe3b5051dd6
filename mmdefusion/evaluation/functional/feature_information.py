# Copyright (c) mmdefusion authors. All rights reserved.
"""Feature mutual information: FMI, fast version."""

from __future__ import annotations

import numpy as np
from scipy import fft

from .luma import ImageLike, Luma, prepare, require_side

SIDE = 3
BINS = SIDE * SIDE
# Windows per step, rounded to rows: temporary arrays of 81 values each then stay in the processor's cache.
BLOCK = 2048


def feature_mutual_information(a: ImageLike, b: ImageLike, f: ImageLike, *, feature: str = 'gradient') -> float:
    r"""FMI, the mean normalised mutual information of a feature of source and fused image over 3x3 windows.

    The nine values of a window, scaled to [0, 1] and divided by their sum, are read column by column as a
    distribution over nine positions. The joint distribution of source p and fused image q is estimated from p and q
    alone: :math:`\phi U + (1 - \phi) p q^T` with the comonotone distribution U (for negatively correlated values the
    countermonotone one) and :math:`\phi` the correlation of the values by the correlation of positions under U. Each
    window counts :math:`2 I / (H(p) + H(q))`, or 1 where the windows are equal.

    Source: M. Haghighat, A. Aghagolzadeh, H. Seyedarabi, "A non-reference image fusion metric based on mutual
    information of image features", Computers and Electrical Engineering 37 (2011); M. Haghighat, M. A. Razian,
    "Fast-FMI: non-reference image fusion metric", AICT 2014, as in the authors' code, where :math:`\phi` may exceed 1
    and negative entries of the joint count by the logarithm of their magnitude.

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255], at least 3x3.
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.
        feature (str): ``'gradient'``, the magnitude of central differences; ``'pixel'``, the gray levels; ``'dct'``,
            the cosine transform of the whole image (orthonormal). The authors' code also knows MATLAB's edge detector
            (its default, which papers report as FMI_pixel) and a wavelet, which are not offered here, and its
            ``gradient`` is the derivative along x only.

    Returns:
        float: 1 where both sources equal the fused image.
    """
    a, b, f = prepare(a, b, f)
    require_side(f, SIDE, 'FMI')
    maps = [_feature(image, feature) for image in (a, b, f)]
    height, width = (side - SIDE + 1 for side in f.shape)
    rows, total = max(1, BLOCK // width), 0.0
    for top in range(0, height, rows):
        of_a, of_b, of_f = (_Windows(values[top : top + rows + SIDE - 1]) for values in maps)
        total += float((_information(of_a, of_f) + _information(of_b, of_f)).sum(dtype=np.float64))
    return total / (2 * height * width)


def _feature(image: Luma, name: str) -> np.ndarray:
    if name == 'gradient':
        return np.hypot(*image.gradient())
    if name == 'pixel':
        return image.values
    if name == 'dct':
        return fft.dctn(image.values, norm='ortho')
    raise ValueError(f"feature must be 'gradient', 'pixel' or 'dct', found {name!r}")


class _Windows:
    """All 3x3 windows of some rows of a feature map as distributions over nine positions, arrays (9, N) or (N,)."""

    def __init__(self, feature: np.ndarray) -> None:
        height, width = feature.shape[0] - SIDE + 1, feature.shape[1] - SIDE + 1
        self.raw = np.stack(
            [feature[y : y + height, x : x + width].ravel() for x in range(SIDE) for y in range(SIDE)]
        ).astype(np.float32)
        low = self.raw.min(axis=0)
        extent = self.raw.max(axis=0) - low
        scaled = np.divide(self.raw - low, extent, out=np.ones_like(self.raw), where=extent > 0)
        self.p = scaled / scaled.sum(axis=0)
        positions = np.arange(BINS, dtype=np.float32)[:, None]
        first = (positions * self.p).sum(axis=0)
        self.spread = np.sqrt(((positions - first) ** 2 * self.p).sum(axis=0))
        self.centred = self.p - np.float32(1 / BINS)
        self.power = np.where(extent > 0, (self.centred**2).sum(axis=0), 0)
        self.entropy = -_times_log2(self.p).sum(axis=0)


def _times_log2(x: np.ndarray) -> np.ndarray:
    """``x log2 |x|``, 0 at 0."""
    return x * np.log2(np.abs(x) + np.float32(1e-30))


def _information(source: _Windows, fused: _Windows) -> np.ndarray:
    """Normalised mutual information of each window, shape (N,)."""
    product, power = (source.centred * fused.centred).sum(axis=0), source.power * fused.power
    correlation = np.divide(product, np.sqrt(power), out=np.zeros_like(product), where=power > 0)
    p = np.where(correlation < 0, source.p[::-1], source.p)
    joint_entropy = _joint_entropy(p, fused.p, np.abs(correlation), source.spread * fused.spread)
    total = source.entropy + fused.entropy
    information = np.divide(2 * (total - joint_entropy), total, out=np.zeros_like(total), where=total > 0)
    information[(source.raw == fused.raw).all(axis=0)] = 1
    return information


def _joint_entropy(p: np.ndarray, q: np.ndarray, correlation: np.ndarray, spreads: np.ndarray) -> np.ndarray:
    """Entropy in bits of the joint estimate of p and q, both (9, n), whose values have a correlation of at least 0.

    Mirroring p turns the countermonotone distribution into the comonotone one, so one sign is enough.
    """
    before_p, before_q = (np.cumsum(x, axis=0) - x for x in (p, q))
    after_p, after_q = before_p + p, before_q + q
    joint = np.minimum(after_p[:, None], after_q)  # (9, 9, n)
    # Hoeffding: the covariance of positions is the sum of joint minus product of the cumulative distributions.
    covariance = joint.sum(axis=(0, 1)) - after_p.sum(axis=0) * after_q.sum(axis=0)
    phi = np.divide(correlation * spreads, covariance, out=np.zeros_like(spreads), where=covariance > 1e-6)
    joint -= np.maximum(before_p[:, None], before_q)
    np.maximum(joint, 0, out=joint)
    joint *= phi
    joint += ((1 - phi) * p)[:, None] * q
    return -_times_log2(joint).sum(axis=(0, 1))
