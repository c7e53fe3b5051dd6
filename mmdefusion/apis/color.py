# Copyright (c) mmdefusion authors. All rights reserved.
"""Luma and chroma of ITU-R BT.601, full range, and the chroma of a fused image.

    Y  = 0.299 R + 0.587 G + 0.114 B
    Cb = 128 + (B - Y) / 1.772
    Cr = 128 + (R - Y) / 1.402

Chroma is kept here as the pair (Cb - 128, Cr - 128), which is zero for gray. All values are 0..255, float32.
"""

from __future__ import annotations

import numpy as np

from mmdefusion.utils.image_stream import TiffImage

#: Mean chroma below which an image has no colours; an infrared one that was saved with colours has 0 or little more.
_GRAY_CHROMA = 2.0
_GRAY_ROWS = 16
#: Added to lumas before their ratio is taken, since low ones are noise; a colour is lightened or darkened by 3 at most.
_DARK, _MAX_RATIO = np.float32(8), np.float32(3)
#: Gray levels from white and from black over which a colour counts less and less, and the least that it counts.
_HIGHLIGHTS, _SHADOWS, _LEAST_WEIGHT = np.float32(64), np.float32(40), np.float32(0.02)
_LIKENESS_POWER = 3

LUMA_BLUE, LUMA_GREEN, LUMA_RED = np.float32(0.114), np.float32(0.587), np.float32(0.299)
CHROMA_BLUE, CHROMA_RED = np.float32(1.772), np.float32(1.402)


def bgr_to_luma(bgr: np.ndarray) -> np.ndarray:
    """Luma of a BGR image.

    Args:
        bgr: (H, W, 3), values 0..255.

    Returns:
        (H, W) float32.
    """
    blue, green, red = np.moveaxis(bgr.astype(np.float32), 2, 0)
    return LUMA_BLUE * blue + LUMA_GREEN * green + LUMA_RED * red


def bgr_to_chroma(bgr: np.ndarray) -> np.ndarray:
    """Chroma of a BGR image.

    Args:
        bgr: (H, W, 3), values 0..255.

    Returns:
        (H, W, 2) float32: Cb - 128 and Cr - 128, exactly zero where the three channels are equal.
    """
    blue, green, red = (bgr[..., channel].astype(np.float32) for channel in range(3))
    # Written with differences of channels, so that gray gives zero and not a rounding error.
    cb = (LUMA_GREEN * (blue - green) + LUMA_RED * (blue - red)) / CHROMA_BLUE
    cr = (LUMA_GREEN * (red - green) + LUMA_BLUE * (red - blue)) / CHROMA_RED
    return np.stack([cb, cr], axis=2)


def is_gray(image: np.ndarray | TiffImage) -> bool:
    """Whether an image has no colours, judged by 16 of its rows.

    Args:
        image: (H, W, 3) BGR, values 0..255, or a file that is read where it is sliced.
    """
    height, width = image.shape[:2]
    rows = np.linspace(0, height - 1, min(height, _GRAY_ROWS)).astype(int)
    chroma = bgr_to_chroma(np.concatenate([image[row : row + 1, 0:width] for row in rows]))
    return float(np.linalg.norm(chroma, axis=2).mean()) < _GRAY_CHROMA


def mix_chroma(chroma1: np.ndarray, chroma2: np.ndarray) -> np.ndarray:
    """Mean of two chromas, each value weighted by its own distance from gray.

    This is the usual rule of image fusion: ``(c1 |c1| + c2 |c2|) / (|c1| + |c2|)`` for Cb - 128 and Cr - 128, and gray
    where both are gray. Where one source is gray it gives the other one's chroma.

    Args:
        chroma1: (H, W, 2), see :func:`bgr_to_chroma`.
        chroma2: (H, W, 2).

    Returns:
        (H, W, 2) float32.
    """
    weight1, weight2 = np.abs(chroma1), np.abs(chroma2)
    total = weight1 + weight2
    return (chroma1 * weight1 + chroma2 * weight2) / np.where(total > 0, total, np.float32(1))


def chroma_at_luma(bgr1: np.ndarray, bgr2: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """Chroma of a fused image of two sources that both have colours.

    A brighter or darker picture of a thing has chroma in proportion to its luma, so the chroma of each source is scaled
    by the ratio of the lumas. A source counts by how near its luma is to the fused one, and little where a channel is
    nearly white or the luma nearly black: what saturates changes its hue, as skin and coffee turn yellow, and shadows
    are noise.

    Args:
        bgr1: (H, W, 3), values 0..255.
        bgr2: (H, W, 3).
        luma: The fused luma, (H, W), values 0..255.

    Returns:
        (H, W, 2) float32, see :func:`bgr_to_chroma`.
    """
    mixed = total = np.float32(0)
    for bgr in (bgr1, bgr2):
        source_luma = bgr_to_luma(bgr)
        # Channel by channel: many times as fast as along an axis of three.
        brightest = np.maximum(np.maximum(bgr[..., 0], bgr[..., 1]), bgr[..., 2]).astype(np.float32)
        ratio = (luma.clip(0) + _DARK) / (source_luma + _DARK)
        weight = np.minimum((255 - brightest) / _HIGHLIGHTS, source_luma / _SHADOWS).clip(_LEAST_WEIGHT, 1)
        weight *= np.minimum(ratio, 1 / ratio) ** _LIKENESS_POWER
        scale = weight * ratio.clip(1 / _MAX_RATIO, _MAX_RATIO)
        mixed = mixed + bgr_to_chroma(bgr) * scale[..., None]
        total = total + weight
    return mixed / total[..., None]


def compose_bgr(luma: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """BGR image of a luma and a chroma.

    Args:
        luma: (H, W), values 0..255.
        chroma: (H, W, 2), see :func:`bgr_to_chroma`.

    Returns:
        (H, W, 3) float32; values may leave 0..255 where the colour does not exist at that luma.
    """
    blue = luma + CHROMA_BLUE * chroma[..., 0]
    red = luma + CHROMA_RED * chroma[..., 1]
    green = luma - (LUMA_BLUE * CHROMA_BLUE * chroma[..., 0] + LUMA_RED * CHROMA_RED * chroma[..., 1]) / LUMA_GREEN
    return np.stack([blue, green, red], axis=2)
