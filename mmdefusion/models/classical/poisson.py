# Copyright (c) mmdefusion authors. All rights reserved.
"""Fusion in the gradient domain."""

from __future__ import annotations

import numpy as np
from scipy import fft
from scipy.ndimage import uniform_filter

from .pixelwise import check_sources, to_8_bits

WINDOW = 5
SCREENING = 0.003


def fuse_poisson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    r"""Image whose gradient is, at each pixel, that of the source with the stronger gradients around it.

    It minimises :math:`|\nabla f - g|^2 + 0.003 (f - m)^2`: g is the forward-difference gradient of the source whose
    gradient magnitude has the larger mean over 5x5 pixels (mirrored borders, the first source where they are equal), m
    lies halfway between average and maximum of the sources. The normal equations
    :math:`(0.003 - \Delta) f = 0.003 m - \mathrm{div}\, g` with no flow through the borders are solved exactly by a
    cosine transform.

    Source of the principle: P. Pérez, M. Gangnet, A. Blake, "Poisson image editing", ACM TOG 22 (2003); screened as in
    P. Bhat et al., "Fourier analysis of the 2D screened Poisson equation for gradient domain problems", ECCV 2008.

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
    a, b = a.astype(np.float64), b.astype(np.float64)
    gradients = forward_gradient(a), forward_gradient(b)
    strength_a, strength_b = (_local_strength(*gradient) for gradient in gradients)
    first = strength_a >= strength_b
    along_x, along_y = (np.where(first, of_a, of_b) for of_a, of_b in zip(*gradients, strict=True))
    middle = ((a + b) / 2 + np.maximum(a, b)) / 2
    return to_8_bits(solve_screened_poisson(along_x, along_y, middle, SCREENING))


def forward_gradient(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Differences to the next pixel along x and along y, 0 at the last one.

    Args:
        image: (H, W), floating point.

    Returns:
        Two arrays (H, W).
    """
    along_x = np.diff(image, axis=1, append=image[:, -1:])
    along_y = np.diff(image, axis=0, append=image[-1:])
    return along_x, along_y


def solve_screened_poisson(
    along_x: np.ndarray, along_y: np.ndarray, target: np.ndarray, screening: float
) -> np.ndarray:
    r"""Minimise :math:`|\nabla f - g|^2 + \lambda (f - m)^2` over all images f.

    Args:
        along_x: Wanted forward differences along x, (H, W), 0 in the last column.
        along_y: Wanted forward differences along y, (H, W), 0 in the last row.
        target: m, (H, W).
        screening: :math:`\lambda`, greater than 0.

    Returns:
        f, (H, W).
    """
    divergence = np.diff(along_x, axis=1, prepend=0) + np.diff(along_y, axis=0, prepend=0)
    height, width = target.shape
    # Eigenvalues of minus the Laplacian with mirrored borders, in the order of the cosine transform.
    eigenvalues = np.add.outer(_eigenvalues(height), _eigenvalues(width))
    spectrum = fft.dctn(screening * target - divergence, norm='ortho') / (eigenvalues + screening)
    return fft.idctn(spectrum, norm='ortho')


def _eigenvalues(size: int) -> np.ndarray:
    return 2 - 2 * np.cos(np.pi * np.arange(size) / size)


def _local_strength(along_x: np.ndarray, along_y: np.ndarray) -> np.ndarray:
    # Where both sources are alike, rounding errors of the running sums decide: this is the filter that the published
    # values come from.
    return uniform_filter(np.hypot(along_x, along_y), WINDOW, mode='reflect')
