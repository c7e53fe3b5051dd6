# Copyright (c) mmdefusion authors. All rights reserved.
"""The decoder of masked autoencoders."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdefusion.registry import MODELS

from ..layers import Block, TokenGrid, check_mask_ratio, draw_visible, fill_masked, sincos_positions
from ..layers.init import init_vit_weights


@MODELS.register_module()
class MAEDecoder(BaseModule):
    """Predicts all patches of an image from the encoded tokens of a few (MAE, He et al. 2022).

    Args:
        in_dims: Width of the encoder's tokens.
        patch_size: Side p of a patch in pixels.
        out_channels: Channels C of an image.
        embed_dims: Width of the decoder.
        depth: Blocks.
        num_heads: Heads of every self-attention.
        mlp_ratio: Hidden width of every MLP over ``embed_dims``.
        mask_ratio: Share of the tokens that the encoder does not see.
        init_cfg: As in MMEngine.
    """

    def __init__(
        self,
        in_dims: int = 768,
        patch_size: int = 16,
        out_channels: int = 3,
        embed_dims: int = 512,
        depth: int = 8,
        num_heads: int = 16,
        mlp_ratio: float = 4.0,
        mask_ratio: float = 0.75,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.mask_ratio = check_mask_ratio(mask_ratio)
        self.decoder_embed = nn.Linear(in_dims, embed_dims)
        self.mask_token = nn.Parameter(torch.empty(1, 1, embed_dims).normal_(std=0.02))
        self.decoder_blocks = nn.ModuleList(Block(embed_dims, num_heads, mlp_ratio) for _ in range(depth))
        self.decoder_norm = nn.LayerNorm(embed_dims, eps=1e-6)
        self.decoder_pred = nn.Linear(embed_dims, out_channels * patch_size**2)
        init_vit_weights(self)

    def draw_visible(self, batch: int, length: int, device: torch.device) -> Tensor:
        """Draws the positions that stay, for each sample of its own.

        Returns:
            (N, K) int64 with K = L * (1 - ``mask_ratio``), at least one, ascending.
        """
        return draw_visible(batch, 1, length, self.mask_ratio, device)

    def forward(self, tokens: Tensor, ids: Tensor, grid: TokenGrid) -> Tensor:
        """Predicts the patches.

        Args:
            tokens: Class token and visible tokens, (N, 1 + K, D).
            ids: Positions of the visible ones, (N, K).
            grid: The grid of all L tokens.

        Returns:
            (N, L, C*p*p), channels slowest within a patch.
        """
        x = self.decoder_embed(tokens)
        patches = fill_masked(self.mask_token, x[:, 1:], ids, grid.num_tokens)
        patches = patches + sincos_positions(grid, x.size(-1), x.device).to(x.dtype)
        x = torch.cat([x[:, :1], patches], dim=1)
        for block in self.decoder_blocks:
            x = block(x)
        return self.decoder_pred(self.decoder_norm(x[:, 1:]))
