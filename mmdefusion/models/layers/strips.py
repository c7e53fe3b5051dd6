# Copyright (c) mmdefusion authors. All rights reserved.
"""Local functions of large maps, a strip of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

#: Pixels of a strip: what a network of 16 channels makes of so many on its way stays in the cache of a CPU.
_STRIP_PIXELS = 2**17


def in_strips(
    function: Callable[..., Sequence[Tensor]], maps: Sequence[Tensor], halo: int, step: int = 2
) -> list[Tensor]:
    """Gives ``function(*maps)``, of one strip of rows after the other where that is quicker: inference on a CPU.

    What the function makes on its way then stays in the cache, and needs no fresh memory for every layer.

    Args:
        function: Takes maps (N, C, h, w), the first of any height that is a multiple of ``step``, and returns maps
            whose rows depend on nothing beyond ``halo`` rows of the first one.
        maps: Whole maps, (N, C, H, W), of heights that divide one another.
        halo: Rows of the first map, a multiple of ``step``.
        step: Rows of the first map that are one of the coarsest, input or output.

    Returns:
        The results, put together.
    """
    height = maps[0].size(2)
    pixels = max(plane.size(2) * plane.size(3) for plane in maps)
    rows = max(8, _STRIP_PIXELS * height // pixels // step) * step
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or maps[0].device.type != 'cpu' or rows >= height:
        return list(function(*maps))
    results: list[Tensor] = []
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        low, high = max(top - halo, 0), min(bottom + halo, height)
        strips = function(*(plane[:, :, slice(*_scale((low, high), plane, height))] for plane in maps))
        if not results:
            shapes = [(*strip.shape[:2], strip.size(2) * height // (high - low), strip.size(3)) for strip in strips]
            results = [
                torch.empty(shape, dtype=strip.dtype, memory_format=_memory_format(strip))
                for shape, strip in zip(shapes, strips, strict=True)
            ]
        for result, strip in zip(results, strips, strict=True):
            first, last = _scale((top, bottom), result, height)
            skipped = first - _scale((low,), result, height)[0]
            result[:, :, first:last] = strip[:, :, skipped : skipped + last - first]
    return results


def _memory_format(strip: Tensor) -> torch.memory_format:
    return torch.channels_last if strip.stride(1) == 1 else torch.contiguous_format


def _scale(rows: Sequence[int], plane: Tensor, height: int) -> list[int]:
    return [row * plane.size(2) // height for row in rows]
