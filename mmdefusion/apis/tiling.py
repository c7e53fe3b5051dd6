# Copyright (c) mmdefusion authors. All rights reserved.
"""Cutting of large images into overlapping tiles, and blending of the fused tiles.

A windowed network with its windows at the same places gives the same values in a tile as in the whole image, except
near the tile's borders. So tiles start at multiples of the windows' period, a margin of each tile is thrown away, and
what is left of the overlap is blended linearly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Span(NamedTuple):
    """One tile along one axis, in pixels of the image.

    Attributes:
        start: First pixel that the network sees.
        stop: End of what it sees.
        keep_start: First pixel that enters the result.
        keep_stop: End of what enters the result.
        ramp_before: How many kept pixels the tile before it keeps too.
        ramp_after: How many kept pixels the tile behind it keeps too.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int
    ramp_before: int
    ramp_after: int

    @property
    def read(self) -> slice:
        """What the network sees."""
        return slice(self.start, self.stop)

    @property
    def kept(self) -> slice:
        """What enters the result, counted from the tile's start."""
        return slice(self.keep_start - self.start, self.keep_stop - self.start)

    def weights(self) -> np.ndarray:
        """Weights of the kept pixels, float32: 1, rising and falling linearly where a neighbour is kept too.

        The weights of all tiles sum up to 1 at each pixel.
        """
        weights = np.ones(self.keep_stop - self.keep_start, np.float32)
        if self.ramp_before:
            weights[: self.ramp_before] = _rise(self.ramp_before)
        if self.ramp_after:
            weights[-self.ramp_after :] = 1 - _rise(self.ramp_after)
        return weights


def _rise(length: int) -> np.ndarray:
    return ((np.arange(length) + 0.5) / length).astype(np.float32)


def plan_axis(length: int, tile: int, overlap: int, ramp: int, period: int = 1) -> list[Span]:
    """Cut one axis into tiles, which all start at multiples of the period and are as even as that allows.

    Args:
        length: Size of the image in pixels.
        tile: Largest size of a tile; more than ``overlap``.
        overlap: Pixels that two neighbours both see, a multiple of the period.
        ramp: Pixels in the middle of the overlap over which neighbours are blended, 0 to ``overlap``.
        period: See above.

    Returns:
        The tiles. One that covers everything, if the image is not larger than a tile.

    Raises:
        ValueError: If the sizes do not fit each other.
    """
    if overlap % period or tile - overlap < period or not 0 <= ramp <= overlap:
        raise ValueError(
            f'a tile of {tile} pixels, an overlap of {overlap} and a ramp of {ramp} do not fit: expected an overlap '
            f'that is a multiple of {period}, a tile that is at least {period} larger, and a ramp within the overlap'
        )
    if length <= tile:
        return [Span(0, length, 0, length, 0, 0)]
    largest_step = (tile - overlap) // period * period
    count = -(-(length - overlap) // largest_step)
    step = -(-(length - overlap) // (count * period)) * period
    starts = range(0, length - overlap, step)
    # Middles of the overlaps, less half of the ramp.
    cuts = [start + (overlap - ramp) // 2 for start in starts[1:]]
    spans = []
    for index, start in enumerate(starts):
        first, last = index == 0, index == len(starts) - 1
        spans.append(
            Span(
                start,
                length if last else start + step + overlap,
                0 if first else cuts[index - 1],
                length if last else cuts[index] + ramp,
                0 if first else ramp,
                0 if last else ramp,
            )
        )
    return spans


def blend_tiles(
    rows: list[Span],
    columns: list[Span],
    predict: Callable[[Span, Span], np.ndarray],
    write: Callable[[slice, slice, np.ndarray], None],
) -> None:
    """Fuse tile by tile, and hand each pixel on as soon as no other tile contributes to it.

    Besides one tile, only the ramp below the current row of tiles is kept in memory.

    Args:
        rows: Tiles along the height.
        columns: Tiles along the width.
        predict: Gives the kept values of a tile, (h, w, C) float32.
        write: Takes the rows, the columns and the values of a finished region; regions do not overlap.
    """
    above = None
    for row in rows:
        height = row.keep_stop - row.keep_start
        done = height - row.ramp_after
        below, left = None, None
        for column in columns:
            values = predict(row, column)
            values = values * row.weights()[:, None, None] * column.weights()[None, :, None]
            width = column.keep_stop - column.keep_start - column.ramp_after
            if left is not None:
                values[:, : column.ramp_before] += left
            left = values[:, width:].copy() if column.ramp_after else None
            place = slice(column.keep_start, column.keep_start + width)
            if row.ramp_before:
                values[: row.ramp_before, :width] += above[:, place]
            if row.ramp_after:
                if below is None:
                    below = np.empty((row.ramp_after, columns[-1].keep_stop, values.shape[2]), np.float32)
                below[:, place] = values[done:, :width]
            write(slice(row.keep_start, row.keep_start + done), place, values[:done, :width])
        above = below
