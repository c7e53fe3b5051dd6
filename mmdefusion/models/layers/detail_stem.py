# Copyright (c) mmdefusion authors. All rights reserved.
"""The convolutional stem: what a linear map of patches cannot see or keep."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .arch import FusionArch
from .strips import in_strips


def init_conv(in_dims: int, out_dims: int, kernel_size: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size, or its ``stride``-th part, with weights for ReLU."""
    conv = nn.Conv2d(in_dims, out_dims, kernel_size, stride, kernel_size // 2)
    nn.init.kaiming_normal_(conv.weight, nonlinearity='relu')
    nn.init.zeros_(conv.bias)
    return conv


class DetailStem(nn.Module):
    """Features of an image at full, half, quarter and eighth resolution, a convolution and a ReLU each.

    Tokens take the coarsest level in, the fused head all of them, a feature pyramid those that tokens are too coarse
    for.

    Args:
        arch: Sizes; ``detail_dims`` is the width at full resolution, level i is (i + 1) times as wide.
        in_channels: Channels C of an image.
    """

    def __init__(self, arch: FusionArch, in_channels: int) -> None:
        super().__init__()
        widths = arch.detail_widths
        self.convs = nn.ModuleList(
            init_conv(before, width, stride=2 if level else 1)
            for level, (before, width) in enumerate(zip((in_channels, *widths), widths, strict=False))
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Normalised RGB, (N, C, H, W) -> (N, detail_widths[i], H / 2**i, W / 2**i) for each level i, from 0 on."""
        features = in_strips(self._finest, [image], halo=2)
        for conv in self.convs[2:]:
            features.append(conv(features[-1]).relu_())
        return features

    def _finest(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The two finest levels."""
        full = self.convs[0](image.contiguous(memory_format=torch.channels_last)).relu_()
        return full, self.convs[1](full).relu_()
