# Copyright (c) mmdefusion authors. All rights reserved.
"""Made-up depth for photos: surfaces and objects of several families."""

from __future__ import annotations

import cv2
import numpy as np

#: Disparity of what is near and of what is far; between them lies nothing where depth jumps.
NEAR, FAR = (0.75, 1.0), (0.0, 0.25)
SEGMENTS = 7


def draw_disparity(image: np.ndarray, family: str, rng: np.random.Generator) -> np.ndarray:
    """Draws a disparity map (inverse depth) for a photo.

    Args:
        image: (H, W, 3) uint8 BGR; its size counts, and for ``'segments'`` its content.
        family: ``'plane'``, a ground or wall that recedes; ``'relief'``, a smooth uneven surface; ``'border'``, a near
            and a far side with a wavy border; ``'objects'``, one to four objects before a background; ``'segments'``,
            parts of the photo of similar colour and place, so that depth jumps where the photo has edges.
        rng: Generator.

    Returns:
        (H, W) float32 from 0, far, to 1, near.

    Raises:
        ValueError: If there is no such family.
    """
    if family not in FAMILIES:
        raise ValueError(f'unknown family of depth {family!r}; expected one of {list(FAMILIES)}')
    disparity = FAMILIES[family](image, rng)
    return np.clip(disparity, 0, 1).astype(np.float32)


def smooth_noise(size: tuple[int, int], cells: int, rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32 noise from 0 to 1 without detail finer than a ``cells``-th of the image."""
    grid = rng.standard_normal((cells, cells)).astype(np.float32)
    return _stretch(cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC))


def _stretch(values: np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    span = float(np.ptp(values)) or 1.0
    return low + (values - values.min()) / span * (high - low)


def _coordinates(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns from -1 to 1 over the longer side."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return (2 * y - height + 1) / max(height, width), (2 * x - width + 1) / max(height, width)


def _plane(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    y, x = _coordinates(image)
    # Mostly nearer at the bottom, as ground is.
    angle = rng.uniform(np.pi / 6, 5 * np.pi / 6)
    return _stretch(x * np.cos(angle) + y * np.sin(angle))


def _relief(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _stretch(smooth_noise(image.shape[:2], int(rng.integers(3, 6)), rng) + 0.7 * _plane(image, rng))


def _border(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    y, x = _coordinates(image)
    angle = rng.uniform(0, 2 * np.pi)
    across = x * np.cos(angle) + y * np.sin(angle)
    wave = 0.5 * smooth_noise(image.shape[:2], int(rng.integers(4, 12)), rng)
    near = across + wave > np.quantile(across + wave, rng.uniform(0.3, 0.7))
    slope = _plane(image, rng)
    return np.where(near, _stretch(slope, *NEAR), _stretch(slope, *FAR))


def _objects(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    y, x = _coordinates(image)
    short = min(image.shape[:2]) / max(image.shape[:2])
    disparity = _stretch(_plane(image, rng), *FAR)
    # The nearest comes last and hides the others.
    for depth in np.sort(rng.uniform(*NEAR, rng.integers(1, 5))):
        row, column = y - rng.uniform(y.min(), y.max()) * 0.8, x - rng.uniform(x.min(), x.max()) * 0.8
        turn, aspect = rng.uniform(0, np.pi), rng.uniform(1, 2)
        along = column * np.cos(turn) + row * np.sin(turn)
        aside = (row * np.cos(turn) - column * np.sin(turn)) * aspect
        angle = np.arctan2(aside, along)
        radius = short * rng.uniform(0.35, 0.75)
        outline = 1 + sum(
            rng.uniform(0, 0.35) / order * np.cos(order * angle + rng.uniform(0, 2 * np.pi)) for order in range(2, 8)
        )
        disparity[np.hypot(along, aside) < radius * outline] = depth
    return disparity


def _segments(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    y, x = _coordinates(image)
    # Texture would fray the borders.
    flat = cv2.medianBlur(image, 5)
    colours = cv2.cvtColor(flat.astype(np.float32) / 255, cv2.COLOR_BGR2Lab) / 40
    features = np.concatenate([colours, y[..., None], x[..., None]], axis=2).reshape(-1, 5)
    labels = _cluster(features, rng).reshape(height, width)
    # A vote of the neighbours removes specks.
    reach = 0.02 * min(height, width)
    votes = [cv2.GaussianBlur((labels == index).astype(np.float32), (0, 0), reach) for index in range(SEGMENTS)]
    labels = np.argmax(votes, axis=0)
    disparity = np.zeros((height, width), np.float32)
    found = list(np.unique(labels))
    # What is lower in the picture tends to be nearer.
    order = sorted(found, key=lambda label: y[labels == label].mean() + rng.normal(0, 0.3))
    for rank, label in enumerate(order):
        disparity[labels == label] = rng.uniform(*(NEAR if 2 * rank >= len(order) else FAR))
    return disparity


def _cluster(features: np.ndarray, rng: np.random.Generator, iterations: int = 8) -> np.ndarray:
    """K-means: the index of the nearest of ``SEGMENTS`` centres for each row."""
    sample = features[rng.integers(0, len(features), 4000)]
    centres = sample[:SEGMENTS]
    for _ in range(iterations):
        nearest = _nearest(sample, centres)
        centres = np.stack(
            [
                sample[nearest == index].mean(axis=0) if (nearest == index).any() else centres[index]
                for index in range(SEGMENTS)
            ]
        )
    return _nearest(features, centres)


def _nearest(features: np.ndarray, centres: np.ndarray) -> np.ndarray:
    # |f - c|^2 = |f|^2 - 2 f c + |c|^2, where |f|^2 does not matter.
    return (-2 * features @ centres.T + (centres**2).sum(axis=1)).argmin(axis=1)


FAMILIES = dict(plane=_plane, relief=_relief, border=_border, objects=_objects, segments=_segments)
