# Copyright (c) mmdefusion authors. All rights reserved.
"""Metrics behind a contrast sensitivity function: Q_CB and Q_CV."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from scipy import fft

from .luma import ImageLike, Luma, prepare

CONTRAST_KERNELS = tuple(np.exp(-(np.arange(-15, 16) ** 2) / (2 * s**2)) / (np.sqrt(2 * np.pi) * s) for s in (2, 4))
CONTRAST_OFFSET = 1e-4
# Divisors below this carry no more than the rounding errors of the Fourier transform.
MIN_SURROUND = 1e-6
REGION = 16
SALIENCY_POWER = 5


def chen_blum_quality(a: ImageLike, b: ImageLike, f: ImageLike, *, stretch: bool = True) -> float:
    r"""Q_CB, how far the fused image preserves the sources' local contrast as the eye perceives it.

    All images pass the contrast sensitivity :math:`S(r) = e^{-(r / 15.387)^2} - .7622 e^{-(r / 1.3456)^2}`, where the
    Nyquist frequency of a side of n pixels is r = n / 30. Local contrast is :math:`C = |G_2 * x / (G_4 * x) - 1|`
    with Gaussians of 31 pixels and zeros outside the image, masked as :math:`C' = C^3 / (C^2 + 10^{-4})`. A source's
    contrast is preserved by the ratio of the smaller to the larger C'; the sources weigh by the square of C'.

    Source: Y. Chen, R. S. Blum, "A new automated quality assessment algorithm for image fusion", Image and Vision
    Computing 27 (2009); constants and stretching as in Z. Liu's toolbox, which VIFB and MEFB use. What that code
    leaves undefined is set here: no contrast where the surround is 0, a ratio 0/0 is 1, and two sources without
    contrast weigh the same.

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255].
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.
        stretch (bool): Whether each image is first stretched to the full range 0..255, as the toolbox does.

    Returns:
        float: In [0, 1], 1 where both sources equal the fused image.
    """
    a, b, f = prepare(a, b, f)
    response = _chen_blum_response(f.shape)
    contrast_a, contrast_b, contrast_f = (_masked_contrast(_stretched(x, stretch), response) for x in (a, b, f))
    preserved_a, preserved_b = _preservation(contrast_a, contrast_f), _preservation(contrast_b, contrast_f)
    square_a, square_b = contrast_a**2, contrast_b**2
    total = square_a + square_b
    weight = np.divide(square_a, total, out=np.full(total.shape, 0.5), where=total > 0)
    return float((weight * preserved_a + (1 - weight) * preserved_b).mean())


def chen_varshney_quality(a: ImageLike, b: ImageLike, f: ImageLike, *, stretch: bool = True) -> float:
    r"""Q_CV, the perceived squared difference from the sources in their salient regions. Lower is better.

    The differences a - f and b - f pass the contrast sensitivity of Mannos and Sakrison,
    :math:`S(r) = 2.6 (.0192 + .144 r) e^{-(.144 r)^{1.1}}`, where the Nyquist frequency of a side of n pixels is
    r = n / 8. The mean square of the result in each region of 16x16 pixels is averaged with the source's saliency as
    weight, the sum of the Sobel magnitude to the power of 5 over the region. Zeros lie outside the image, for Sobel
    as for regions that the border cuts.

    Source: H. Chen, P. K. Varshney, "A human perception inspired quality metric for image fusion based on regional
    information", Information Fusion 8 (2007); constants, borders and stretching as in Z. Liu's toolbox, which VIFB
    and MEFB use. Of the paper's three sensitivity functions this is the one that the toolbox applies.

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255].
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.
        stretch (bool): Whether each image is first stretched to the full range 0..255, as the toolbox does.

    Returns:
        float: At least 0 squared gray levels; 0 where both sources equal the fused image. Sources without any edge
        weigh the same everywhere.
    """
    a, b, f = prepare(a, b, f)
    response = _mannos_sakrison_response(f.shape)
    fused = _stretched(f, stretch)
    weighted = total = 0.0
    errors = []
    for source in (a, b):
        pixels = _stretched(source, stretch)
        error = _region_sums(_filter_spectrum(pixels - fused, response) ** 2) / REGION**2
        saliency = _region_sums(_sobel_magnitude(pixels) ** SALIENCY_POWER)
        weighted += float((saliency * error).sum())
        total += float(saliency.sum())
        errors.append(float(error.mean()))
    return weighted / total if total > 0 else sum(errors) / 2


def _stretched(image: Luma, stretch: bool) -> np.ndarray:
    low, high = image.values.min(), image.values.max()
    if not stretch or low == high:
        return image.values
    # MATLAB's round: halves away from zero.
    return np.floor((image.values - low) / (high - low) * 255 + 0.5)


def _radius(shape: tuple[int, int], cycles_divisor: float) -> np.ndarray:
    """Radial frequency of every entry of ``rfft2``, where Nyquist along a side of n pixels is n / cycles_divisor."""
    along_y = fft.fftfreq(shape[0], 0.5) * shape[0] / cycles_divisor
    along_x = fft.rfftfreq(shape[1], 0.5) * shape[1] / cycles_divisor
    return np.hypot(along_y[:, None], along_x[None, :])


@lru_cache(maxsize=4)
def _chen_blum_response(shape: tuple[int, int]) -> np.ndarray:
    radius = _radius(shape, 30)
    return np.exp(-((radius / 15.387) ** 2)) - 0.7622 * np.exp(-((radius / 1.3456) ** 2))


@lru_cache(maxsize=4)
def _mannos_sakrison_response(shape: tuple[int, int]) -> np.ndarray:
    radius = 0.144 * _radius(shape, 8)
    return 2.6 * (0.0192 + radius) * np.exp(-(radius**1.1))


def _filter_spectrum(values: np.ndarray, response: np.ndarray) -> np.ndarray:
    return fft.irfft2(fft.rfft2(values) * response, s=values.shape)


def _masked_contrast(values: np.ndarray, response: np.ndarray) -> np.ndarray:
    perceived = _filter_spectrum(values, response)
    centre, surround = (
        cv2.sepFilter2D(perceived, -1, kernel, kernel, borderType=cv2.BORDER_CONSTANT) for kernel in CONTRAST_KERNELS
    )
    ratio = np.divide(centre, surround, out=np.ones(centre.shape), where=np.abs(surround) > MIN_SURROUND)
    contrast = np.abs(ratio - 1)
    square = contrast * contrast
    return square * contrast / (square + CONTRAST_OFFSET)


def _preservation(source: np.ndarray, fused: np.ndarray) -> np.ndarray:
    larger = np.maximum(source, fused)
    return np.divide(np.minimum(source, fused), larger, out=np.ones(larger.shape), where=larger > 0)


def _sobel_magnitude(values: np.ndarray) -> np.ndarray:
    gx = cv2.Sobel(values, cv2.CV_64F, 1, 0, borderType=cv2.BORDER_CONSTANT)
    gy = cv2.Sobel(values, cv2.CV_64F, 0, 1, borderType=cv2.BORDER_CONSTANT)
    return np.sqrt(gx * gx + gy * gy)


def _region_sums(values: np.ndarray) -> np.ndarray:
    """Sums over regions of 16x16 pixels; zeros fill the regions that the border cuts."""
    height, width = values.shape
    padded = np.pad(values, ((0, -height % REGION), (0, -width % REGION)))
    return padded.reshape(padded.shape[0] // REGION, REGION, -1, REGION).sum(axis=(1, 3))
