# Copyright (c) mmdefusion authors. All rights reserved.
"""The plain ViT of masked autoencoders, which modality teachers are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdefusion.registry import MODELS
from mmdefusion.utils.pretrained import load_pretrained

from ..layers import Block, TokenGrid, gather_tokens, sincos_positions
from ..layers.init import init_patch_embed, init_vit_weights
from ..layers.statistics import channel_statistics, normalize
from .defusion_vit import PatchEmbed


@MODELS.register_module()
class MAEViT(BaseModule):
    """ViT with class token and global attention (MAE, He et al. 2022); the default sizes are those of ViT-B/16.

    Parameters are named as in the published MAE files, ``cls_token`` and ``pos_embed`` among them, so these load. It
    takes RGB images with values in [0, 1] and normalises them with ImageNet statistics itself.

    Args:
        img_size: Side in pixels of the square images for which ``pos_embed`` has a position each, fixed sines and
            cosines unless a file brings other ones; for other sizes it is interpolated.
        patch_size: Side p of a token's patch in pixels.
        in_channels: Channels C of an image.
        embed_dims: Width D of a token; divisible by 4 and by ``num_heads``.
        depth: Blocks.
        num_heads: Heads of every self-attention.
        mlp_ratio: Hidden width of every MLP over D.
        init_cfg: ``dict(type='Pretrained', checkpoint=..., prefix=...)``, see :func:`load_pretrained`.
    """

    def __init__(
        self,
        img_size: int = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        embed_dims: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if img_size % patch_size or embed_dims % num_heads:
            raise ValueError(
                f'patch_size must divide img_size and num_heads embed_dims, got {patch_size} and {img_size}, '
                f'{num_heads} and {embed_dims}'
            )
        self.patch_size = patch_size
        self.embed_dims = embed_dims
        self.patch_embed = PatchEmbed(in_channels, embed_dims, patch_size)
        self.cls_token = nn.Parameter(torch.empty(1, 1, embed_dims).normal_(std=0.02))
        side = img_size // patch_size
        table = sincos_positions(TokenGrid(side, side, side, side), embed_dims, torch.device('cpu'))
        self.register_buffer('pos_embed', torch.cat([torch.zeros(1, 1, embed_dims), table], dim=1))
        self.blocks = nn.ModuleList(Block(embed_dims, num_heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)
        mean, std = channel_statistics(in_channels)
        self.register_buffer('mean', mean.view(1, -1, 1, 1), persistent=False)
        self.register_buffer('std', std.view(1, -1, 1, 1), persistent=False)
        init_vit_weights(self)
        init_patch_embed(self.patch_embed.proj)

    def init_weights(self) -> None:
        """Loads the weights that ``init_cfg`` names; without it the weights stay as they were constructed.

        Raises:
            ValueError: Nothing in the file matches, or ``init_cfg`` is of another type than 'Pretrained'.
        """
        if self.init_cfg and not self.is_init:
            load_pretrained(self, self.init_cfg)
        self._is_init = True

    def grid_of(self, images: Tensor) -> TokenGrid:
        """The token grid of images (N, C, H, W).

        Raises:
            ValueError: H or W is no multiple of the patch size.
        """
        height, width = images.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(f'images of {height}x{width} pixels; expected multiples of the patch {self.patch_size}')
        return TokenGrid.of_image(height, width, self.patch_size, None)

    def positions(self, grid: TokenGrid) -> Tensor:
        """Positions of a grid's tokens, (1, h*w, D)."""
        table = self.pos_embed[:, 1:]
        side = round(table.size(1) ** 0.5)
        if (grid.height, grid.width) == (side, side):
            return table
        plane = table.unflatten(1, (side, side)).permute(0, 3, 1, 2)
        plane = F.interpolate(plane.float(), size=(grid.height, grid.width), mode='bicubic')
        return plane.flatten(2).transpose(1, 2).to(table.dtype)

    def forward(self, images: Tensor, ids: Tensor | None = None) -> Tensor:
        """Encodes images.

        Args:
            images: RGB in [0, 1], (N, C, H, W), H and W multiples of the patch size.
            ids: Positions of the tokens to encode, (N, K) int64; None takes all.

        Returns:
            Class token and tokens in the order of rows, or of ``ids``, after the final norm, (N, 1 + K, D).
        """
        grid = self.grid_of(images)
        x = self.patch_embed(normalize(images, self.mean, self.std), grid) + self.positions(grid)
        if ids is not None:
            x = gather_tokens(x, ids)
        x = torch.cat([(self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1).to(x.dtype), x], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)
