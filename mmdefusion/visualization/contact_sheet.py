# Copyright (c) mmdefusion authors. All rights reserved.
"""Fused images of several methods side by side, with enlarged crops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

TILE_WIDTH = 240
TITLE_HEIGHT = 22
GAP = 4
CROP_SHARE = 0.22
DETAIL_SHARE = 0.02
CROP_COLORS = ((60, 60, 230), (70, 180, 60))
BACKGROUND, INK = 255, 32


class Crop(NamedTuple):
    """A part of an image in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the part."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def draw_contact_sheet(rows: Sequence[Mapping[str, np.ndarray]]) -> np.ndarray:
    """Draw one row for each pair: sources and fused images under their titles, and two enlarged crops of each below.

    The crops are taken where the fused images differ most; their frames have the same colour in all images.

    Args:
        rows: Images by title, the two sources first, all rows with the same titles and each of one height and width:
            (H, W, 3) BGR or (H, W), uint8.

    Returns:
        The sheet, (H', W', 3) BGR uint8.

    Raises:
        ValueError: If there is no row, titles differ between rows, there is no fused image, or sizes within one.
    """
    titles = list(rows[0]) if rows else []
    if len(titles) < 3 or any(list(row) != titles for row in rows):
        raise ValueError(f'expected rows of two sources and one fused image or more each, found {[*map(list, rows)]}')
    bands = [_draw_titles(titles), *(_draw_row(list(row.values())) for row in rows)]
    return np.concatenate(bands)


def choose_crops(images: Sequence[np.ndarray]) -> list[Crop]:
    """Find the two parts, apart from one another, in whose details images differ most.

    Args:
        images: Two images or more of one size, (H, W, 3) or (H, W), uint8.

    Returns:
        Two crops, the one with the larger difference first. They overlap only where the image has no room for both.
    """
    height, width = images[0].shape[:2]
    stack = [image.reshape(height, width, -1).mean(axis=2) for image in images]
    # Of details: a sky that is brighter in one image than in the other shows nothing when enlarged.
    sigma = max(1.0, width * DETAIL_SHARE)
    difference = np.std([plane - cv2.GaussianBlur(plane, (0, 0), sigma) for plane in stack], axis=0)
    size = max(1, round(height * CROP_SHARE)), max(1, round(width * CROP_SHARE))
    sums = cv2.integral(difference)
    rows, columns = size
    totals = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
    crops = []
    for _ in CROP_COLORS:
        top, left = np.unravel_index(np.argmax(totals), totals.shape)
        crops.append(Crop(int(top), int(left), *size))
        totals[max(0, top - rows + 1) : top + rows, max(0, left - columns + 1) : left + columns] = -1
    return crops


def _draw_titles(titles: Sequence[str]) -> np.ndarray:
    band = np.full((TITLE_HEIGHT, len(titles) * (TILE_WIDTH + GAP) + GAP, 3), BACKGROUND, np.uint8)
    for index, title in enumerate(titles):
        origin = GAP + index * (TILE_WIDTH + GAP) + 2, TITLE_HEIGHT - 7
        cv2.putText(band, title, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (INK,) * 3, 1, cv2.LINE_AA)
    return band


def _draw_row(images: list[np.ndarray]) -> np.ndarray:
    shapes = {image.shape[:2] for image in images}
    if len(shapes) != 1:
        raise ValueError(f'images of one row must have one size, found {sorted(shapes)} (height, width)')
    images = [cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image for image in images]
    crops = choose_crops(images[2:] if len(images) > 3 else images)
    columns = [_draw_tile(image, crops) for image in images]
    gap = np.full((columns[0].shape[0], GAP, 3), BACKGROUND, np.uint8)
    return np.concatenate([part for column in columns for part in (gap, column)] + [gap], axis=1)


def _draw_tile(image: np.ndarray, crops: Sequence[Crop]) -> np.ndarray:
    """The whole image with frames, and below it the crops beside each other."""
    height, width = image.shape[:2]
    scale = TILE_WIDTH / width
    whole = _resize(image, TILE_WIDTH, max(1, round(height * scale)))
    parts = []
    part_width = (TILE_WIDTH - GAP) // 2
    for crop, color in zip(crops, CROP_COLORS, strict=True):
        corner = round(crop.left * scale), round(crop.top * scale)
        opposite = round((crop.left + crop.width) * scale) - 1, round((crop.top + crop.height) * scale) - 1
        cv2.rectangle(whole, corner, opposite, color, 2)
        part = _resize(image[crop.slices], part_width, max(1, round(part_width * crop.height / crop.width)))
        cv2.rectangle(part, (0, 0), (part.shape[1] - 1, part.shape[0] - 1), color, 2)
        parts.append(part)
    gap = np.full((parts[0].shape[0], TILE_WIDTH - 2 * part_width, 3), BACKGROUND, np.uint8)
    space = np.full((GAP, TILE_WIDTH, 3), BACKGROUND, np.uint8)
    return np.concatenate([whole, space, np.concatenate([parts[0], gap, parts[1]], axis=1), space, space])


def _resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    # Enlarged pixel by pixel, to be seen as they are.
    interpolation = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_NEAREST
    return cv2.resize(image, (width, height), interpolation=interpolation)
