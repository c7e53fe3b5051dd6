# Copyright (c) mmdefusion authors. All rights reserved.
"""The decoder: images from decomposed, fused and masked tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdefusion.registry import MODELS

from ..layers import (
    Block,
    DecomposedTokens,
    FusionArch,
    TokenGrid,
    check_mask_ratio,
    draw_visible,
    fill_masked,
    get_arch,
    sincos_positions,
    unpatchify,
    window_shift,
)
from ..layers.init import init_pixel_head, init_vit_weights
from ..layers.statistics import channel_statistics
from .detail_decoder import DetailDecoder


class Decomposition(NamedTuple):
    """Images that the decoder makes, (N, C, H, W) each, RGB, nominally in [0, 1] but not clamped.

    Attributes:
        common: What both sources show.
        unique1: What only the first source shows.
        unique2: What only the second source shows.
        fused: The fused image.
        masked: The image reconstructed from a few of the tokens; None outside pretraining.
    """

    common: Tensor
    unique1: Tensor
    unique2: Tensor
    fused: Tensor
    masked: Tensor | None = None


class PixelHead(nn.Module):
    """One block and a linear map from a token to its patch."""

    def __init__(self, arch: FusionArch, out_channels: int) -> None:
        super().__init__()
        self.block = Block(arch.embed_dims, arch.num_heads, arch.mlp_ratio)
        self.pred = nn.Linear(arch.embed_dims, out_channels * arch.patch_size**2)
        self.patch_size = arch.patch_size

    def forward(self, tokens: Tensor, grid: TokenGrid) -> Tensor:
        """(N, L, D) -> (N, C, h*p, w*p)."""
        return to_pixels(self.pred, self.block(tokens, grid.num_windows), grid, self.patch_size)


class DetailHead(nn.Module):
    """One block and a full-resolution decoder that reads the sources too."""

    def __init__(self, arch: FusionArch, out_channels: int) -> None:
        super().__init__()
        self.block = Block(arch.embed_dims, arch.num_heads, arch.mlp_ratio)
        self.detail = DetailDecoder(arch, out_channels)

    def forward(self, fused: Tensor, tokens: DecomposedTokens, x1: Tensor, x2: Tensor, restore: bool) -> Tensor:
        """Fused tokens (N, L, D), what they were made of and two sources (N, C, H, W) -> (N, C, H, W)."""
        return self.detail(self.block(fused, tokens.grid.num_windows), tokens.grid, tokens.details, x1, x2, restore)


def to_pixels(pred: nn.Linear, tokens: Tensor, grid: TokenGrid, patch_size: int) -> Tensor:
    """Maps tokens to pixels in float32: bfloat16 has no more than 256 levels between 0.5 and 1."""
    with torch.autocast(tokens.device.type, enabled=False):
        return unpatchify(pred(tokens.float()), grid, patch_size)


class MaskedModeling(nn.Module):
    """Masked feature modeling: the whole image from the fused features of a few tokens."""

    def __init__(self, arch: FusionArch, out_channels: int) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.empty(1, 1, arch.embed_dims).normal_(std=0.02))
        self.blocks = nn.ModuleList(Block(arch.embed_dims, arch.num_heads, arch.mlp_ratio) for _ in range(2))
        self.norm = nn.LayerNorm(arch.embed_dims, eps=1e-6)
        self.pred = nn.Linear(arch.embed_dims, out_channels * arch.patch_size**2)
        self.patch_size = arch.patch_size

    def forward(self, visible: Tensor, ids: Tensor, grid: TokenGrid) -> Tensor:
        """Reconstructs the image.

        Args:
            visible: Fused features of the kept tokens, (N, K, D).
            ids: Their positions, (N, K).
            grid: The grid of all tokens.

        Returns:
            (N, C, h*p, w*p).
        """
        x = fill_masked(self.mask_token, visible, ids, grid.num_tokens)
        x = x + sincos_positions(grid, x.size(-1), x.device).to(x.dtype)
        x = self.blocks[0](x, grid.num_windows)
        x = self.blocks[1](x, grid.num_windows, window_shift(grid, x.device))
        return to_pixels(self.pred, self.norm(x), grid, self.patch_size)


@MODELS.register_module()
class DeFusionDecoder(BaseModule):
    """Decoder of DeFusion++: heads for common, unique (shared by both) and fused, and masked feature modeling.

    Args:
        arch: Sizes, the same as the backbone's.
        out_channels: Channels C of an image.
        mask_ratio: Share of token positions that masked feature modeling drops.
        frozen_queries: Whether the queries of the full-resolution path, see :class:`DetailDecoder`, are not trained.
            They start at zero, where the stronger detail and the brighter source win.
        init_cfg: As in MMEngine.

    Raises:
        ValueError: ``mask_ratio`` is out of range, or ``frozen_queries`` is asked of an architecture without that path.
    """

    def __init__(
        self,
        arch: str | dict = 'tiny',
        out_channels: int = 3,
        mask_ratio: float = 0.75,
        frozen_queries: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.mask_ratio = check_mask_ratio(mask_ratio)
        sizes = get_arch(arch)
        self.common = PixelHead(sizes, out_channels)
        self.unique = PixelHead(sizes, out_channels)
        self.fused = (DetailHead if sizes.detail_dims else PixelHead)(sizes, out_channels)
        self.masked = MaskedModeling(sizes, out_channels)
        if frozen_queries:
            if not sizes.detail_dims:
                raise ValueError('frozen_queries needs an arch with a full-resolution path, detail_dims of 1 or more')
            for query in (self.fused.detail.base_query, self.fused.detail.gradient_query):
                query.requires_grad_(False)
        init_vit_weights(self)
        for head in self.linear_heads():
            # Z' starts as the sum of eight normalised tokens; the others are fewer, and their targets darker.
            init_pixel_head(head.pred, sizes.patch_size, *channel_statistics(out_channels), gain=1 / 8)

    def linear_heads(self) -> list[nn.Module]:
        """The heads whose last layer ``pred`` maps a token to its patch."""
        return [head for head in self.children() if hasattr(head, 'pred')]

    @property
    def can_restore(self) -> bool:
        """Whether fused images of degraded views get a restoration, see :class:`DetailDecoder`."""
        return isinstance(self.fused, DetailHead)

    def draw_visible(self, tokens: DecomposedTokens) -> Tensor:
        """Draws the positions that stay, as many in every window, for each sample of its own.

        Returns:
            (N, K) int64 with K = L * (1 - ``mask_ratio``), at least one a window, ascending.
        """
        grid, windows = tokens.grid, tokens.grid.num_windows
        batch, device = tokens.common.size(0), tokens.common.device
        return draw_visible(batch, windows, grid.num_tokens // windows, self.mask_ratio, device)

    def decode_fused(
        self, fused: Tensor, tokens: DecomposedTokens, x1: Tensor, x2: Tensor, restore: bool = False
    ) -> Tensor:
        """Decodes the fused image alone.

        Args:
            fused: Fused tokens Z', (N, L, D).
            tokens: The decomposed pair that they were made of.
            x1: First sources, RGB in [0, 1], (N, C, H, W); read where the architecture has a detail path.
            x2: Second sources.
            restore: Whether the sources are degraded views of a photo, see :class:`DetailDecoder`.

        Returns:
            (N, C, H, W), not clamped.
        """
        if self.can_restore:
            return self.fused(fused, tokens, x1, x2, restore)
        return self.fused(fused, tokens.grid)[..., : x1.size(2), : x1.size(3)]

    def forward(
        self,
        tokens: DecomposedTokens,
        fused: Tensor,
        x1: Tensor,
        x2: Tensor,
        visible: Tensor | None = None,
        ids: Tensor | None = None,
    ) -> Decomposition:
        """Decodes all parts.

        Args:
            tokens: The decomposed pair.
            fused: Its fused tokens Z', (N, L, D).
            x1: First sources, RGB in [0, 1], (N, C, H, W).
            x2: Second sources.
            visible: Fused features of the kept tokens, (N, K, D), of degraded views of a photo. None for pairs: they
                get no masked feature modeling, and no restoration.
            ids: Positions of the kept tokens, (N, K).

        Returns:
            The images, cropped to the sources' size.
        """
        grid = tokens.grid
        common = self.common(tokens.common + tokens.skip_common, grid)
        unique1, unique2 = self.unique(tokens.unique + tokens.skip_unique, grid).chunk(2)
        masked = None if visible is None else self.masked(visible, ids, grid)
        restored = self.decode_fused(fused, tokens, x1, x2, restore=visible is not None)
        images = (common, unique1, unique2, restored, masked)
        height, width = tokens.image_size
        return Decomposition(*(image if image is None else image[..., :height, :width] for image in images))
