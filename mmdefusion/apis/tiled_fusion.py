# Copyright (c) mmdefusion authors. All rights reserved.
"""Fusing of one pair tile by tile, in memory or from disk to disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from mmdefusion.structures import FusionDataSample
from mmdefusion.utils.image_io import quantize
from mmdefusion.utils.image_stream import TiffOutput, open_tiff_array

from .network_io import finish_map, predicted_maps
from .pairs import LoadedPair
from .results import result_paths
from .tiling import Span, blend_tiles


def fuse_tiles(
    pair: LoadedPair,
    plan: tuple[list[Span], list[Span]],
    forward: Callable[[LoadedPair], FusionDataSample],
    color: str,
    parts: bool,
    out_dir: str | os.PathLike | None = None,
) -> dict[str, np.ndarray]:
    """Fuse a pair tile by tile.

    Args:
        pair: The pair, in memory or on disk.
        plan: Tiles along the height and along the width.
        forward: Gives the predictions of a tile.
        color: One of ``COLOR_MODES``.
        parts: Whether to give the parts too, if the network makes any.
        out_dir: Folder to write to as TIFF while fusing; None keeps the results in memory.

    Returns:
        ``fused`` and the parts, (H, W, 3) BGR or (H, W), uint8, or uint16 for a pair of 16 bits;
        memory-mapped if they were written.

    Raises:
        ImageReadError: A source on disk cannot be read.
        OutputError: The results cannot be written; nothing of them is left then.
    """
    dtype = np.uint16 if pair.depth == 16 else np.uint8
    names: list[str] = []
    outputs: dict[str, np.ndarray | TiffOutput] = {}
    stack = ExitStack()

    def predict(row: Span, column: Span) -> np.ndarray:
        maps = predicted_maps(forward(pair.crop(row.read, column.read)), color)
        names[:] = maps if parts else ['fused']
        return np.concatenate([maps[name][row.kept, column.kept] for name in names], axis=2)

    def open_outputs() -> None:
        for name in names:
            colored = color == 'rgb' or (color == 'ycbcr' and name == 'fused')
            shape = (*pair.size, 3) if colored else pair.size
            if out_dir is None:
                outputs[name] = np.empty(shape, dtype)
            else:
                path = result_paths(pair.pair.name, out_dir, parts=True, suffix='.tif')[name]
                outputs[name] = stack.enter_context(TiffOutput(path, shape, dtype))

    def write(rows: slice, columns: slice, values: np.ndarray) -> None:
        if not outputs:
            open_outputs()
        region = pair.crop(rows, columns)
        for name, part in zip(names, np.split(values, len(names), axis=2), strict=True):
            outputs[name][rows, columns] = quantize(finish_map(name, part, region, color), pair.depth)

    with stack:
        blend_tiles(*plan, predict, write)
    if out_dir is None:
        return outputs
    return {name: open_tiff_array(output.path) for name, output in outputs.items()}
