# Copyright (c) mmdefusion authors. All rights reserved.
"""A convolutional decoder with a full-resolution skip: what a token cannot carry comes from the sources themselves."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import FusionArch, TokenGrid, reflect_pad, unpatchify
from ..layers.statistics import channel_statistics

#: Keeps the residual's weights, which read large features, from moving faster than all others.
_RESIDUAL_SCALE = 0.1
#: The stem halves the resolution this many times at most.
_MAX_LEVELS = 3


def _conv(in_dims: int, out_dims: int, kernel_size: int = 3, stride: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(in_dims, out_dims, kernel_size, stride, kernel_size // 2)
    nn.init.kaiming_normal_(conv.weight, nonlinearity='relu')
    nn.init.zeros_(conv.bias)
    return conv


def _double(image: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, 2H, 2W)."""
    return F.interpolate(image, scale_factor=2, mode='bilinear', align_corners=False)


def _preference(query: Tensor, keys: Tensor) -> Tensor:
    """How much a query (N, C, h, w) asks for the first source's keys rather than the second's, both (2N, C, h, w).

    Returns:
        (N, 1, h, w) float32.
    """
    key1, key2 = keys.chunk(2)
    return (query * (key1 - key2)).sum(dim=1, keepdim=True).float() * key1.size(1) ** -0.5


def _laplacian_bands(image: Tensor, levels: int) -> list[Tensor]:
    """Bands 0 to ``levels`` of the Laplacian pyramid, band l at 1 / 2**l of the resolution; the last is the rest."""
    bands = [image]
    for _ in range(levels):
        bands.append(F.avg_pool2d(bands[-1], 2))
    return [band - _double(coarser) for band, coarser in zip(bands, bands[1:], strict=False)] + bands[-1:]


class ResidualConv(nn.Module):
    """``x + conv(relu(conv(relu(x))))``; starts as the identity."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.conv1 = _conv(dims, dims)
        self.conv2 = _conv(dims, dims)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return x + self.conv2(self.conv1(x.relu()).relu_())


class DetailStem(nn.Module):
    """Features of one source at full, half, quarter and eighth resolution; layer i is (i + 1) times as wide."""

    def __init__(self, in_channels: int, dims: int, levels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Sequential(
                _conv(dims * level if level else in_channels, dims * (level + 1), stride=2 if level else 1),
                nn.ReLU(inplace=True),
                _conv(dims * (level + 1), dims * (level + 1)),
            )
            for level in range(levels + 1)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> (N, dims * (i + 1), H / 2**i, W / 2**i) for each level i."""
        features = []
        for conv in self.convs:
            image = conv(image)
            features.append(image)
            image = image.relu()
        return features


class DetailDecoder(nn.Module):
    """Fused image at full resolution from fused tokens and both sources.

    A stem, shared by the sources, gives features at full, half, quarter and eighth resolution. The tokens enter at the
    coarsest one; on the way up each level adds the larger of the two sources' features. At every level each place
    attends to the two sources: with ``k_i`` the source's own features divided by the root of their number and a query q
    of the decoder, ``v = tanh(q k1 - q k2)`` weighs that level's band of the Laplacian pyramid of ``x1 - x2``. So a
    region may take its brightness from one source and its detail from the other without an edge in between. At full
    resolution a second query chooses between whole pixels, ``w = softmax(q k1, q k2)``, and a residual r adds what
    neither source has:

        ``fused = w x1 + (1 - w) x2 + sum over levels of up(v band(x1 - x2)) + r``

    Exchanging the sources exchanges their weights and nothing else.

    Args:
        arch: Sizes; ``detail_dims`` is the width at full resolution.
        channels: Channels C of an image.
    """

    def __init__(self, arch: FusionArch, channels: int) -> None:
        super().__init__()
        self.levels = min(_MAX_LEVELS, arch.patch_size.bit_length() - 1)
        # Tokens may be coarser than the coarsest level.
        self.token_scale = arch.patch_size // 2**self.levels
        self.patch_size = arch.patch_size
        widths = [arch.detail_dims * (level + 1) for level in range(self.levels + 1)]
        self.stem = DetailStem(channels, arch.detail_dims, self.levels)
        self.context = nn.Linear(arch.embed_dims, widths[-1] * self.token_scale**2)
        self.refine = nn.ModuleList(ResidualConv(width) for width in widths)
        self.up = nn.ModuleList(
            nn.Sequential(_conv(coarse, 4 * fine, kernel_size=1), nn.PixelShuffle(2))
            for fine, coarse in zip(widths, widths[1:], strict=False)
        )
        self.band_queries = nn.ModuleList(_conv(width, width, kernel_size=1) for width in widths)
        self.pixel_query = _conv(widths[0], widths[0], kernel_size=1)
        self.residual = _conv(widths[0], channels)
        # Starts as the mean of both sources.
        for query in (*self.band_queries, self.pixel_query):
            nn.init.zeros_(query.weight)
        nn.init.zeros_(self.residual.weight)
        mean, std = channel_statistics(channels)
        self.register_buffer('mean', mean.view(1, -1, 1, 1), persistent=False)
        self.register_buffer('std', std.view(1, -1, 1, 1), persistent=False)

    def forward(self, tokens: Tensor, grid: TokenGrid, x1: Tensor, x2: Tensor) -> Tensor:
        """Decodes the fused image.

        Args:
            tokens: Fused tokens, (N, L, D).
            grid: Where they lie.
            x1: First sources, RGB in [0, 1], (N, C, H, W).
            x2: Second sources, of the same shape.

        Returns:
            (N, C, H, W) float32, nominally in [0, 1] but not clamped.
        """
        height, width = x1.shape[-2:]
        rows, columns = (-(-side // self.patch_size) for side in (height, width))
        sources = reflect_pad(torch.cat([x1, x2]), rows * self.patch_size, columns * self.patch_size)
        normalized = ((sources - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        features = self.stem(normalized)
        x = unpatchify(self.context(tokens), grid, self.token_scale)
        x = x[..., : rows * self.token_scale, : columns * self.token_scale]
        x = x.contiguous(memory_format=torch.channels_last)
        bands = _laplacian_bands(sources[: len(x1)] - sources[len(x1) :], self.levels)
        blend = 0.0
        for level in reversed(range(self.levels + 1)):
            x = self.refine[level](x + torch.maximum(*features[level].chunk(2))).relu_()
            blend = blend + _preference(self.band_queries[level](x), features[level]).tanh() * bands[level]
            if level:
                blend = _double(blend)
                x = self.up[level - 1](x)
        weight = _preference(self.pixel_query(x), features[0]).sigmoid()
        blend = blend + _RESIDUAL_SCALE * self.residual(x).float()
        return x2 + weight[..., :height, :width] * (x1 - x2) + blend[..., :height, :width]
