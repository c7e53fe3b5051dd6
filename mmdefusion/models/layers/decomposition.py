# Copyright (c) mmdefusion authors. All rights reserved.
"""Common and unique decomposition of two token sequences, and their fusion."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .arch import FusionArch
from .token_grid import TokenGrid, window_shift
from .transformer import Block, CrossAttentionLayer


class DecomposedTokens(NamedTuple):
    """The parts of a pair of images, in the deep stream and in the shallow skip stream.

    Attributes:
        common: What both images show, (N, L, D).
        unique: What only the first shows, then what only the second shows, (2N, L, D).
        skip_common: ``common`` of the skip stream, (N, L, D).
        skip_unique: ``unique`` of the skip stream, (2N, L, D).
        grid: Where the tokens lie.
        image_size: (H, W) of the images in pixels, before padding to the grid.
        details: Features of the stem at full, half, ... resolution, those of the first images, then those of the
            second, (2N, C_i, H_i, W_i) each, padded to whole patches; empty for an architecture without a stem.
    """

    common: Tensor
    unique: Tensor
    skip_common: Tensor
    skip_unique: Tensor
    grid: TokenGrid
    image_size: tuple[int, int]
    details: tuple[Tensor, ...] = ()

    def keep(self, ids: Tensor) -> DecomposedTokens:
        """Only the tokens at the positions ``ids``, (N, K) int64, the same ones in every part."""
        twice = ids.repeat(2, 1)
        parts = zip((ids, twice, ids, twice), self[:4], strict=True)
        return DecomposedTokens(*(gather_tokens(part, index) for index, part in parts), *self[4:])

    def first_order(self) -> DecomposedTokens:
        """Of common parts in both orders (2N, L, D) only those of the first."""
        return self._replace(common=self.common.chunk(2)[0], skip_common=self.skip_common.chunk(2)[0])


def gather_tokens(tokens: Tensor, ids: Tensor) -> Tensor:
    """Picks tokens: (N, L, D) at ids (N, K) -> (N, K, D)."""
    return tokens.gather(1, ids[..., None].expand(-1, -1, tokens.size(-1)))


class CommonUniqueDecomposition(nn.Module):
    """Splits the features of two images into one common and two unique parts.

    ``C = Cross_common(F1, F2)``, ``U1 = Cross_unique(F2, F1) + Block(F1)``, ``U2 = Cross_unique(F1, F2) + Block(F2)``.
    In training the common layer sees its two inputs in random order, sample by sample.
    """

    def __init__(self, arch: FusionArch) -> None:
        super().__init__()
        cross = dict(dims=arch.embed_dims, num_heads=arch.cross_heads, mlp_ratio=arch.mlp_ratio)
        self.common = CrossAttentionLayer(task='common', dropout=arch.cross_dropout, **cross)
        self.unique = CrossAttentionLayer(task='unique', dropout=arch.cross_dropout, **cross)
        self.residual = Block(arch.embed_dims, arch.num_heads, arch.mlp_ratio)

    def forward(self, features: Tensor, num_windows: int, both_orders: bool = False) -> tuple[Tensor, Tensor]:
        """Splits the features.

        Args:
            features: Tokens of all first images, then of all second images, (2N, L, D).
            num_windows: Windows in L.
            both_orders: Give the common tokens in either order of the inputs.

        Returns:
            Common tokens (N, L, D) and unique tokens (2N, L, D), those of the first images first. For ``both_orders``
            the common tokens are (2N, L, D): ``Cross_common(F1, F2)``, then ``Cross_common(F2, F1)``.
        """
        first, second = features.chunk(2)
        if both_orders:
            common = self.common(features, torch.cat([second, first]), num_windows)
        elif self.training:
            swap = torch.rand(first.size(0), 1, 1, device=first.device) < 0.5
            common = self.common(torch.where(swap, second, first), torch.where(swap, first, second), num_windows)
        else:
            common = self.common(first, second, num_windows)
        unique = self.unique(torch.cat([second, first]), features, num_windows) + self.residual(features, num_windows)
        return common, unique


class FeatureFusion(nn.Module):
    """Fuses the parts: ``Z = sum over i of Cross_fuse(C, Ui)``, both streams, then ``Z' = R(Z) + Z``.

    R is two transformer blocks. The long residual is a switch of the architecture.
    """

    def __init__(self, arch: FusionArch) -> None:
        super().__init__()
        cross = dict(dims=arch.embed_dims, num_heads=arch.cross_heads, mlp_ratio=arch.mlp_ratio)
        self.fuse = CrossAttentionLayer(task='fuse', dropout=arch.cross_dropout, **cross)
        self.skip_fuse = CrossAttentionLayer(task='fuse', dropout=arch.cross_dropout, **cross)
        self.refine = nn.ModuleList(Block(arch.embed_dims, arch.num_heads, arch.mlp_ratio) for _ in range(2))
        self.long_residual = arch.long_residual

    def forward(self, tokens: DecomposedTokens) -> Tensor:
        """Parts of all tokens, or of the same few in every window, -> fused tokens (N, L, D)."""
        windows = tokens.grid.num_windows
        deep = self.fuse(tokens.common, tokens.unique, windows)
        shallow = self.skip_fuse(tokens.skip_common, tokens.skip_unique, windows)
        fused = sum((deep + shallow).chunk(2))
        # A few tokens of each window have no neighbours in the displaced ones.
        complete = tokens.common.size(1) == tokens.grid.num_tokens
        shift = window_shift(tokens.grid, fused.device) if complete else None
        refined = self.refine[1](self.refine[0](fused, windows), windows, shift)
        return refined + fused if self.long_residual else refined
