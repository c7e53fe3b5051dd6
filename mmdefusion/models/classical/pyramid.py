# Copyright (c) mmdefusion authors. All rights reserved.
"""Fusion of Laplacian pyramids."""

from __future__ import annotations

import cv2
import numpy as np

from .pixelwise import check_sources, to_8_bits

LEVELS = 5


def fuse_laplacian(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Laplacian pyramid of five levels: the coefficient of larger magnitude, and the mean of both bases.

    Source: P. J. Burt, E. H. Adelson, "The Laplacian pyramid as a compact image code", IEEE Trans. Communications 31
    (1983), and "Merging images through pattern decomposition", SPIE 575 (1985).

    Args:
        a: Luma of the first source, (H, W), uint8; its coefficient counts where the magnitudes are equal.
        b: Luma of the second source.

    Returns:
        The fused luma, (H, W), uint8.

    Raises:
        TypeError: If a source is not uint8.
        ValueError: If the sources are not two images of one size.
    """
    check_sources(a, b)
    (details_a, base_a), (details_b, base_b) = _decompose(a), _decompose(b)
    fused = (base_a + base_b) / 2
    for detail_a, detail_b in zip(reversed(details_a), reversed(details_b), strict=True):
        fused = _enlarge(fused, detail_a.shape)
        fused += np.where(np.abs(detail_a) >= np.abs(detail_b), detail_a, detail_b)
    return to_8_bits(fused)


def fuse_mertens(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Exposure fusion as OpenCV has it, with its default weights of contrast and well-exposedness.

    Saturation, the third of its weights, does not exist in a luma.

    Source: T. Mertens, J. Kautz, F. Van Reeth, "Exposure fusion: a simple and practical alternative to high dynamic
    range photography", Computer Graphics Forum 28 (2009).

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
    return to_8_bits(cv2.createMergeMertens().process([a, b]).reshape(a.shape) * 255)


def _decompose(image: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Details from fine to coarse, and the base."""
    current, details = image.astype(np.float32), []
    for _ in range(LEVELS):
        smaller = cv2.pyrDown(current)
        details.append(current - _enlarge(smaller, current.shape))
        current = smaller
    return details, current


def _enlarge(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return cv2.pyrUp(image, dstsize=shape[::-1])
