# Copyright (c) mmdefusion authors. All rights reserved.
"""When an image is cut into tiles, and into which."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from mmdefusion.models.layers import SCREENING_REACH, FusionArch
from mmdefusion.models.necks.detail_decoder import DECISION_RADIUS, SCREENING_LENGTH

from .tiling import Span, plan_axis

GIB = 2**30
#: Memory that fusing takes at its peak, in bytes per pixel, colours included: measured with ``nano`` and ``tiny`` on a
#: CPU at 640x480 to 2400x1600 and over many tiles, the largest one rounded up.
BYTES_PER_PIXEL = dict(bfloat16=640, float32=900)
#: Values of tokens per pixel of the networks measured: 192 for 16x16 pixels.
_MEASURED_DENSITY = 192 / 16**2
#: Pixels from a border that zero padding of the stem's convolutions can reach on their way down to an eighth of the
#: resolution, and with the decoder's on the way up again: 8 and 31, and 8 more for the grid between.
_STEM_REACH = 8
_DETAIL_REACH = 48
#: Pixels after which the solution in the gradient domain has forgotten a border.
_GRADIENT_REACH = SCREENING_REACH * SCREENING_LENGTH
#: Pixels that the smoothed decision on brightness sees: a guided filter takes means twice.
_DECISION_REACH = 2 * DECISION_RADIUS
#: Multiple at which tiles start where the model has no windows: pyramids halve that often without a remainder.
_DEFAULT_PERIOD = 64


@dataclass(frozen=True)
class TilePlanner:
    """Decides on tiles.

    Attributes:
        memory_budget: GiB that the network may use at a time.
        bytes_per_pixel: What it uses.
        period: Tiles start at multiples of this, in pixels.
        spoiled: Pixels beside a tile's border that do not enter the result, if the overlap allows it.
        receptive_field: Pixels on each side beyond which nothing changes a tile's result, counted from the edge of a
            window; None where everything may.
        tile_size: Side of a tile in pixels; None is as large as the budget allows.
        overlap: Pixels that neighbours share, a multiple of the period.
    """

    memory_budget: float
    bytes_per_pixel: float
    period: int
    spoiled: int
    receptive_field: int | None
    tile_size: int | None
    overlap: int

    @classmethod
    def of_model(
        cls,
        model: nn.Module,
        precision: str,
        memory_budget: float,
        tile_size: int | None = None,
        tile_overlap: int | None = None,
    ) -> TilePlanner:
        """The planner of a network.

        Args:
            model: The network; what has no ``backbone.arch`` is treated as if every pixel depended on all.
            precision: ``'bfloat16'`` or ``'float32'``.
            memory_budget: GiB that the network may use at a time.
            tile_size: Side of a tile in pixels, rounded down to a multiple of the period; larger images are always cut.
                None cuts only what does not fit the budget.
            tile_overlap: Pixels that neighbours share, rounded up to a multiple of the period; default four windows,
                or 128 pixels for a network without windows.

        Raises:
            ValueError: A value is not positive, or a tile is not larger than the overlap.
        """
        if not memory_budget > 0:
            raise ValueError(f'memory_budget must be more than 0 GiB, found {memory_budget}')
        if tile_overlap is not None and tile_overlap < 0:
            raise ValueError(f'tile_overlap must be 0 or more, found {tile_overlap}')
        arch = getattr(getattr(model, 'backbone', None), 'arch', None)
        period, spoiled, field, density = _DEFAULT_PERIOD, 0, None, _MEASURED_DENSITY
        if isinstance(arch, FusionArch):
            period = arch.patch_size * (arch.window_size or 1)
            field = receptive_field(arch)
            # Displaced windows are cut at a tile's border, which spoils the outermost window and a half most.
            spoiled = max(0 if field is None else 3 * period // 2, _DETAIL_REACH if arch.detail_dims else 0)
            density = max(density, arch.embed_dims / arch.patch_size**2)
        if tile_overlap is None:
            tile_overlap = 128 if field is None else 4 * period
        overlap = -(-tile_overlap // period) * period
        if tile_size is not None:
            if tile_size // period * period <= overlap:
                raise ValueError(
                    f'tile_size {tile_size} is too small: tiles start at multiples of {period} pixels and share '
                    f'{overlap}; expected at least {overlap + period}'
                )
            tile_size = tile_size // period * period
        bytes_per_pixel = BYTES_PER_PIXEL[precision] * density / _MEASURED_DENSITY
        return cls(memory_budget, bytes_per_pixel, period, spoiled, field, tile_size, overlap)

    @property
    def ramp(self) -> int:
        """Pixels over which neighbours are blended: none where both equal the whole image in the overlap's middle."""
        # A small overlap is blended over a third of it at least.
        margin = min(self.spoiled, self.overlap // 3)
        if self.receptive_field is not None and self.overlap >= 2 * self.receptive_field:
            margin = self.overlap // 2
        return self.overlap - 2 * margin

    @property
    def pixels(self) -> float:
        """Pixels that fit the budget."""
        return self.memory_budget * GIB / self.bytes_per_pixel

    def batch_size(self, height: int, width: int, wanted: int) -> int:
        """How many pairs of a size the network may see at once: as many as wanted, if they fit the budget."""
        return int(max(1, min(wanted, self.pixels / (height * width))))

    def plan(self, height: int, width: int, on_disk: bool = False) -> tuple[list[Span], list[Span]] | None:
        """Tiles along the height and along the width of an image.

        Args:
            height: Pixels of the image.
            width: Pixels of the image.
            on_disk: Whether it is read region by region, because it is far beyond the budget: then a tile of one's own
                choice that is as large is one of a plan, too.

        Returns:
            None where the image is fused as a whole.
        """
        if self.tile_size is not None:
            if max(height, width) > self.tile_size or on_disk:
                return self._plan(height, width, self.tile_size, self.tile_size)
            return None
        if height * width <= self.pixels:
            return None
        smallest = self.overlap + self.period
        # Square tiles waste least in overlaps; an image narrower than that allows longer ones.
        tile_width = max(smallest, min(width, int(math.sqrt(self.pixels))))
        tile_height = max(smallest, int(self.pixels / tile_width))
        if height < tile_height:
            tile_width = max(smallest, int(self.pixels / height))
        return self._plan(height, width, tile_height, tile_width)

    def _plan(self, height: int, width: int, tile_height: int, tile_width: int) -> tuple[list[Span], list[Span]]:
        rows = plan_axis(height, tile_height, self.overlap, self.ramp, self.period)
        return rows, plan_axis(width, tile_width, self.overlap, self.ramp, self.period)


def receptive_field(arch: FusionArch) -> int | None:
    """How far a pixel sees beyond the edges of its own window, in pixels; None without windows.

    Each attention in displaced windows reaches one window further: every second block of the encoder, and one block
    behind the fusion. The convolutions of a stem look into the next window, those of the full-resolution decoder, its
    decision on brightness and its gradient domain may touch some more.
    """
    if arch.window_size is None:
        return None
    windows = arch.depth // 2 + 1
    window = arch.patch_size * arch.window_size
    if arch.detail_dims:
        reach = _DETAIL_REACH + _DECISION_REACH + _GRADIENT_REACH
        windows += math.ceil(_STEM_REACH / window) + math.ceil(reach / window)
    return windows * window
