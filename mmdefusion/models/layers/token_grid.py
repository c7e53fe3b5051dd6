# Copyright (c) mmdefusion authors. All rights reserved.
"""The geometry of a token sequence: where each token lies in the image, and which tokens attend to each other.

Tokens are kept window by window, so that attention in windows is a reshape and global attention is the case of one
window. The order reaches the outside only through :func:`patchify`, :func:`unpatchify` and :func:`to_map`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor


class TokenGrid(NamedTuple):
    """An h x w grid of tokens cut into windows of ``window_h`` x ``window_w``.

    Attributes:
        height: Tokens per column of the (padded) image.
        width: Tokens per row of the (padded) image.
        window_h: Tokens per column of a window; divides ``height``.
        window_w: Tokens per row of a window; divides ``width``.
    """

    height: int
    width: int
    window_h: int
    window_w: int

    @classmethod
    def of_image(cls, height: int, width: int, patch_size: int, window_size: int | None) -> TokenGrid:
        """The smallest grid of whole windows that covers an image of ``height`` x ``width`` pixels.

        Args:
            height: Image height in pixels.
            width: Image width in pixels.
            patch_size: Side of a token's patch in pixels.
            window_size: Side of an attention window in tokens; None makes the whole image one window.
        """
        rows, columns = -(-height // patch_size), -(-width // patch_size)
        if window_size is None:
            return cls(rows, columns, rows, columns)
        rows, columns = (-(-side // window_size) * window_size for side in (rows, columns))
        return cls(rows, columns, window_size, window_size)

    @property
    def num_windows(self) -> int:
        """Windows in the grid."""
        return (self.height // self.window_h) * (self.width // self.window_w)

    @property
    def num_tokens(self) -> int:
        """Tokens in the grid."""
        return self.height * self.width


class WindowShift(NamedTuple):
    """Tokens regrouped into windows displaced by half a window (Swin Transformer, Liu et al. 2021).

    Attributes:
        order: For each place in the displaced windows, the token that goes there, (L,) int64.
        inverse: The way back, (L,) int64.
        mask: True where two tokens of a displaced window are neighbours in the image too, (windows, Lw, Lw) bool.
    """

    order: Tensor
    inverse: Tensor
    mask: Tensor


def _split(grid: TokenGrid) -> tuple[int, int, int, int]:
    return grid.height // grid.window_h, grid.window_h, grid.width // grid.window_w, grid.window_w


def _to_windows(plane: Tensor, grid: TokenGrid) -> Tensor:
    """(h, w) -> (windows, Lw)."""
    rows, window_h, columns, window_w = _split(grid)
    return plane.view(rows, window_h, columns, window_w).transpose(1, 2).reshape(rows * columns, window_h * window_w)


@lru_cache(maxsize=64)
def window_shift(grid: TokenGrid, device: torch.device) -> WindowShift | None:
    """The half-window displacement of a grid, or None where one window is the whole image."""
    if grid.num_windows == 1:
        return None
    down = grid.window_h // 2 if grid.height > grid.window_h else 0
    right = grid.window_w // 2 if grid.width > grid.window_w else 0
    rows, window_h, columns, window_w = _split(grid)
    token = torch.arange(grid.num_tokens).view(rows, columns, window_h, window_w)
    token = token.transpose(1, 2).reshape(grid.height, grid.width)
    order = _to_windows(token.roll((-down, -right), (0, 1)), grid).flatten()
    # Rolling brings the first rows and columns behind the last ones: strangers that must not see each other.
    wrapped_row = torch.arange(grid.height) >= grid.height - down
    wrapped_column = torch.arange(grid.width) >= grid.width - right
    region = _to_windows(2 * wrapped_row.long()[:, None] + wrapped_column.long(), grid)
    mask = region[:, :, None] == region[:, None, :]
    return WindowShift(order.to(device), order.argsort().to(device), mask.to(device))


def patchify(image: Tensor, grid: TokenGrid, patch_size: int) -> Tensor:
    """Cuts an image into flat patches: (N, C, h*p, w*p) -> (N, L, C*p*p), channels slowest within a patch."""
    batch, channels = image.shape[:2]
    rows, window_h, columns, window_w = _split(grid)
    patches = image.reshape(batch, channels, rows, window_h, patch_size, columns, window_w, patch_size)
    patches = patches.permute(0, 2, 5, 3, 6, 1, 4, 7)  # (N, rows, columns, window_h, window_w, C, p, p)
    return patches.reshape(batch, grid.num_tokens, channels * patch_size**2)


def unpatchify(patches: Tensor, grid: TokenGrid, patch_size: int) -> Tensor:
    """Puts an image together again, the inverse of :func:`patchify`: (N, L, C*p*p) -> (N, C, h*p, w*p)."""
    batch = patches.size(0)
    rows, window_h, columns, window_w = _split(grid)
    image = patches.reshape(batch, rows, columns, window_h, window_w, -1, patch_size, patch_size)
    image = image.permute(0, 5, 1, 3, 6, 2, 4, 7)  # (N, C, rows, window_h, p, columns, window_w, p)
    return image.reshape(batch, -1, grid.height * patch_size, grid.width * patch_size)


def to_map(tokens: Tensor, grid: TokenGrid) -> Tensor:
    """Token sequence to feature map: (N, L, D) -> (N, D, h, w)."""
    return unpatchify(tokens, grid, patch_size=1)


@lru_cache(maxsize=64)
def sincos_positions(grid: TokenGrid, dims: int, device: torch.device) -> Tensor:
    """Fixed 2-D sine-cosine positions as in MAE (He et al. 2022), (1, L, D).

    A window that is smaller than the image counts positions from its own corner, which makes the network's function
    the same everywhere and at every image size. A single window counts from the image's corner.
    """
    if dims % 4:
        raise ValueError(f'2-D sine-cosine positions need a width divisible by 4, got {dims}')
    frequency = 10000 ** -(torch.arange(dims // 4, dtype=torch.float64) / (dims // 4))
    rows = torch.arange(grid.height, dtype=torch.float64) % grid.window_h
    columns = torch.arange(grid.width, dtype=torch.float64) % grid.window_w
    row_angle = (rows[:, None] * frequency)[:, None].expand(-1, grid.width, -1)
    column_angle = (columns[:, None] * frequency)[None].expand(grid.height, -1, -1)
    # MAE puts the column's half first.
    table = torch.cat([column_angle.sin(), column_angle.cos(), row_angle.sin(), row_angle.cos()], dim=-1)
    table = table.float().permute(2, 0, 1)[None]  # (1, D, h, w)
    return patchify(table, grid, patch_size=1).to(device)


def reflect_pad(image: Tensor, height: int, width: int) -> Tensor:
    """Extends an image to ``height`` x ``width`` at its bottom and right by reflection without repeating the edge.

    Unlike ``torch.nn.functional.pad`` it reflects as often as needed, so an image may be smaller than its padding.

    Args:
        image: (N, C, H, W).
        height: New height, at least H.
        width: New width, at least W.
    """
    for dim, size in ((2, height), (3, width)):
        length = image.size(dim)
        if size > length:
            period = max(2 * (length - 1), 1)
            index = torch.arange(size, device=image.device) % period
            image = image.index_select(dim, torch.minimum(index, period - index) if length > 1 else index)
    return image
