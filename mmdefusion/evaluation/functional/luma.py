# Copyright (c) mmdefusion authors. All rights reserved.
"""The 8-bit luma on which every fusion metric works, and the intermediate results that metrics share."""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

# Thousandths: the weighted sum of integers is then exact, and halves round alike on every machine.
BGR_WEIGHTS = np.array([114.0, 587.0, 299.0])
REDUCTIONS = ('mean', 'sum')


class Window(NamedTuple):
    """A separable, normalised window: Gaussian, or box where ``sigma`` is None."""

    size: int
    sigma: float | None = None

    @property
    def kernel(self) -> np.ndarray:
        """One axis of the window, shape (size,), with sum 1."""
        if self.sigma is None:
            return np.full(self.size, 1.0 / self.size)
        offsets = np.arange(self.size) - (self.size - 1) / 2
        weights = np.exp(-(offsets**2) / (2 * self.sigma**2))
        return weights / weights.sum()


class Plane:
    """A real-valued image that remembers its local moments, so that metrics with the same window share them.

    Args:
        values (np.ndarray): float64, shape (H, W).
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self._moments: dict = {}

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.values.shape

    @cached_property
    def half(self) -> Plane:
        """The plane averaged over 2x2 blocks; an odd last row or column is repeated first."""
        height, width = self.shape
        padded = np.pad(self.values, ((0, height % 2), (0, width % 2)), mode='edge')
        return Plane((padded[::2, ::2] + padded[::2, 1::2] + padded[1::2, ::2] + padded[1::2, 1::2]) / 4)

    def mean(self, window: Window) -> np.ndarray:
        """Local mean at every position where the whole window lies inside the image."""
        key = (window, 'mean')
        if key not in self._moments:
            self._moments[key] = filter_valid(self.values, window)
        return self._moments[key]

    def covariance(self, other: Plane, window: Window) -> np.ndarray:
        """Local population covariance with another plane (the variance with itself), same positions as ``mean``.

        Call it on the source with the fused image as ``other``: the result is kept in the plane it is called on.
        """
        # A plane among its own keys would be a reference cycle, and large images would outlive the evaluation.
        key = (window, None if other is self else other)
        if key not in self._moments:
            moment = filter_valid(self.values * other.values, window)
            self._moments[key] = moment - self.mean(window) * other.mean(window)
        return self._moments[key]

    def variance(self, window: Window) -> np.ndarray:
        """Local population variance; rounding errors below zero are cut."""
        return np.maximum(self.covariance(self, window), 0)


class Luma(Plane):
    """The 8-bit luma of an image.

    Args:
        pixels (np.ndarray): uint8, shape (H, W).
    """

    def __init__(self, pixels: np.ndarray) -> None:
        super().__init__(pixels.astype(np.float64))
        self.pixels = pixels

    @cached_property
    def histogram(self) -> np.ndarray:
        """Relative frequency of the 256 gray levels."""
        return np.bincount(self.pixels.ravel(), minlength=256) / self.pixels.size

    def joint_histogram(self, other: Luma) -> np.ndarray:
        """Relative frequency of the pairs of gray levels (own level, other's level), flat, 65536 bins."""
        if other not in self._moments:
            pairs = self.pixels.astype(np.intp) * 256 + other.pixels
            self._moments[other] = np.bincount(pairs.ravel(), minlength=65536) / pairs.size
        return self._moments[other]

    def gradient(self) -> tuple[np.ndarray, np.ndarray]:
        """Central differences along x and along y in gray levels per pixel, one-sided at the borders."""
        along_y, along_x = np.gradient(self.values)
        return along_x, along_y


ImageLike = np.ndarray | Luma


def filter_valid(values: np.ndarray, window: Window) -> np.ndarray:
    """Correlate with a window and keep the positions where the whole window lies inside the image."""
    kernel, before = window.kernel, window.size // 2
    after = window.size - 1 - before
    filtered = cv2.sepFilter2D(values, -1, kernel, kernel, anchor=(before, before), borderType=cv2.BORDER_REPLICATE)
    return filtered[before : values.shape[0] - after, before : values.shape[1] - after]


def to_luma(image: np.ndarray, name: str = 'image') -> np.ndarray:
    """Luma 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded to 8 bits, halves to even.

    Args:
        image (np.ndarray): uint8 or floating point, shape (H, W) for luma or (H, W, 3) for BGR, values in [0, 255].
        name (str): What to call the image in an error.

    Returns:
        np.ndarray: uint8, shape (H, W).

    Raises:
        TypeError: If the image is no array, or neither uint8 nor floating point.
        ValueError: If the shape is wrong, or values are not finite, outside [0, 255] or evidently scaled to [0, 1].
    """
    if not isinstance(image, np.ndarray) or not (image.dtype == np.uint8 or np.issubdtype(image.dtype, np.floating)):
        found = f'{image.dtype} array' if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f'{name}: expected a uint8 or floating point array with values in [0, 255], found {found}')
    if image.size == 0 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise ValueError(f'{name}: expected shape (H, W) or (H, W, 3), found {image.shape}')
    if image.dtype != np.uint8:
        _check_range(image, name)
    if image.ndim == 3:
        image = image @ BGR_WEIGHTS / 1000
    return image if image.dtype == np.uint8 else np.rint(image).astype(np.uint8)


def _check_range(image: np.ndarray, name: str) -> None:
    low, high = float(image.min()), float(image.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f'{name}: expected finite values in [0, 255], found NaN or infinity')
    if low < 0 or high > 255:
        raise ValueError(f'{name}: expected values in [0, 255], found [{low:g}, {high:g}]')
    if high <= 1 and np.any(image != np.rint(image)):
        raise ValueError(f'{name}: expected values in [0, 255], found [{low:g}, {high:g}]: multiply by 255 first')


def as_luma(image: ImageLike, name: str = 'image') -> Luma:
    """Wrap an image for metrics; a :class:`Luma` passes through and keeps what it has computed."""
    return image if isinstance(image, Luma) else Luma(to_luma(image, name))


def prepare(a: ImageLike, b: ImageLike, f: ImageLike) -> tuple[Luma, Luma, Luma]:
    """Wrap both sources and the fused image and check that they have one size.

    Raises:
        ValueError: If heights or widths differ.
    """
    a, b, f = as_luma(a, 'source a'), as_luma(b, 'source b'), as_luma(f, 'fused image f')
    if not a.shape == b.shape == f.shape:
        raise ValueError(f'sources and fused image must have one size, found a {a.shape}, b {b.shape}, f {f.shape}')
    return a, b, f


def require_side(image: Plane, side: int, metric: str) -> None:
    """Raise a ValueError if the image is smaller than the metric's windows need."""
    if min(image.shape) < side:
        raise ValueError(f'{metric} needs at least {side} pixels on each side, found {image.shape} (height, width)')


def combine(of_a: float, of_b: float, reduction: str) -> float:
    """Join the values of both sources by their ``'mean'`` or ``'sum'``."""
    if reduction not in REDUCTIONS:
        raise ValueError(f'reduction must be one of {REDUCTIONS}, found {reduction!r}')
    return float(of_a + of_b) / (2 if reduction == 'mean' else 1)
