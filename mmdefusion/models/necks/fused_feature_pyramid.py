# Copyright (c) mmdefusion authors. All rights reserved.
"""A feature pyramid from the one map of a plain ViT."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdefusion.registry import MODELS


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of a map."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, D, h, w) -> (N, D, h, w)."""
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


@MODELS.register_module()
class FusedFeaturePyramid(BaseModule):
    """Simple feature pyramid of ViTDet (Li et al., arXiv 2203.16527, Section 3), for the fused features of a pair.

    Each level is made of the last map alone: finer ones by transposed convolutions of stride 2 with layer norm and GELU
    between, coarser ones by max pooling; a layer norm ends every level. Where the backbone also gives features of its
    convolutional stem, a 1x1 convolution of them is added to the level of the same stride before that norm. The host's
    own neck follows:

    .. code-block:: python

        neck = [
            dict(type='mmdefusion.FusedFeaturePyramid', in_channels=192),
            dict(type='FPN', in_channels=[192] * 4, out_channels=256, num_outs=5),
        ]

    Args:
        in_channels: Channels D of the map.
        in_stride: Pixels from one place of the map to the next: the backbone's patch size.
        out_strides: The same for each level; each is ``in_stride`` times or divided by a power of two.
        out_channels: Channels E of every level; as many as the map has if None. Fewer make the concatenated parts of a
            pair affordable.
        detail_channels: Channels of the stem's features for the first levels, whose strides they must have:
            ``(96, 128)`` for strides 4 and 8 behind a nano backbone with ``out_details=(4, 8)``.
        norm_cfg: Norm of the maps before the levels, ``dict(type='BN')`` or ``dict(type='SyncBN')``. Pretrained tokens
            vary a thousand times more along some channels than along others, and a short training does not find what
            the quiet ones say unless each channel is scaled on its own. None: the maps as they are.
        init_cfg: As for any ``BaseModule``.

    Raises:
        ValueError: A stride cannot be reached by factors of two, or there are fewer levels than features of the stem.
    """

    def __init__(
        self,
        in_channels: int,
        in_stride: int = 16,
        out_strides: Sequence[int] = (4, 8, 16, 32),
        out_channels: int | None = None,
        detail_channels: Sequence[int] = (),
        norm_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        width = out_channels or in_channels
        if len(detail_channels) > len(out_strides):
            raise ValueError(f'detail_channels={detail_channels} are more than the levels, {len(out_strides)}')
        self.norm = _make_norm(norm_cfg, in_channels)
        self.levels = nn.ModuleList(_make_level(in_channels, width, in_stride, stride) for stride in out_strides)
        self.norms = nn.ModuleList(LayerNorm2d(width, eps=1e-6) for _ in out_strides)
        self.details = nn.ModuleList(
            nn.Sequential(_make_norm(norm_cfg, channels), nn.Conv2d(channels, width, 1)) for channels in detail_channels
        )
        for module in self.modules():
            if isinstance(module, nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Makes the pyramid.

        Args:
            maps: Those of the backbone: one for each of ``detail_channels``, finest first, and the map (N, D, h, w).

        Returns:
            For each level (N, E, h', w'): h' = h * k where it is k times finer, h' = ceil(h / k) where coarser.

        Raises:
            ValueError: Another number of maps.
        """
        if len(maps) != len(self.details) + 1:
            raise ValueError(f'FusedFeaturePyramid takes {len(self.details) + 1} maps, got {len(maps)}')
        x = self.norm(maps[-1])
        levels = [level(x) for level in self.levels]
        for index, (detail, features) in enumerate(zip(self.details, maps[:-1], strict=True)):
            levels[index] = levels[index] + detail(features)
        return tuple(norm(level) for norm, level in zip(self.norms, levels, strict=True))


def _make_norm(norm_cfg: dict | None, channels: int) -> nn.Module:
    return build_norm_layer(norm_cfg, channels)[1] if norm_cfg else nn.Identity()


def _make_level(in_channels: int, out_channels: int, in_stride: int, out_stride: int) -> nn.Sequential:
    coarse, fine = max(in_stride, out_stride), min(in_stride, out_stride)
    factor = coarse // fine if fine > 0 else 0
    if factor < 1 or coarse % fine or factor & (factor - 1):
        raise ValueError(f'a stride of {out_stride} is not {in_stride} times or divided by a power of two')
    layers: list[nn.Module] = []
    if out_stride > in_stride:
        # A map of odd size keeps its last row and column.
        layers.append(nn.MaxPool2d(factor, factor, ceil_mode=True))
    if out_stride < in_stride:
        layers.append(nn.ConvTranspose2d(in_channels, out_channels, 2, 2))
        for _ in range(factor.bit_length() - 2):
            layers += [LayerNorm2d(out_channels, eps=1e-6), nn.GELU()]
            layers.append(nn.ConvTranspose2d(out_channels, out_channels, 2, 2))
    elif out_channels != in_channels:
        layers.append(nn.Conv2d(in_channels, out_channels, 1))
    return nn.Sequential(*layers)
