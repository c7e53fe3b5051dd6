# Copyright (c) mmdefusion authors. All rights reserved.
"""The decoder of masked image modeling."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdefusion.registry import MODELS

from ..layers import Block, TokenGrid, check_mask_ratio, get_arch, window_shift
from ..layers.init import init_vit_weights


@MODELS.register_module()
class SimMIMDecoder(BaseModule):
    """Predicts the patches of an image from the tokens of all its places, hidden ones among them.

    Two blocks, the second in displaced windows, a norm and a linear map; SimMIM has the map alone, but its windows grow
    with depth.

    Args:
        arch: Sizes, the same as the backbone's.
        out_channels: Channels C of an image.
        mask_ratio: Share of the patches that the encoder does not see.
        init_cfg: As in MMEngine.
    """

    def __init__(
        self,
        arch: str | dict = 'nano',
        out_channels: int = 3,
        mask_ratio: float = 0.6,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.mask_ratio = check_mask_ratio(mask_ratio)
        sizes = get_arch(arch)
        self.blocks = nn.ModuleList(Block(sizes.embed_dims, sizes.num_heads, sizes.mlp_ratio) for _ in range(2))
        self.norm = nn.LayerNorm(sizes.embed_dims, eps=1e-6)
        self.pred = nn.Linear(sizes.embed_dims, out_channels * sizes.patch_size**2)
        init_vit_weights(self)

    def forward(self, tokens: Tensor, grid: TokenGrid) -> Tensor:
        """Tokens of all places (N, L, D) -> patches (N, L, C*p*p), channels slowest within a patch."""
        x = self.blocks[0](tokens, grid.num_windows)
        x = self.blocks[1](x, grid.num_windows, window_shift(grid, x.device))
        return self.pred(self.norm(x))
