# Copyright (c) mmdefusion authors. All rights reserved.
"""The backbone: a ViT encoder for both images, their decomposition, and the fused features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmdefusion.registry import MODELS
from mmdefusion.utils.pretrained import load_pretrained

from ..layers import (
    Block,
    CommonUniqueDecomposition,
    DecomposedTokens,
    DetailStem,
    FeatureFusion,
    TokenGrid,
    get_arch,
    linear,
    patchify,
    reflect_pad,
    sincos_positions,
    to_map,
    window_shift,
)
from ..layers.init import init_patch_embed, init_vit_weights
from ..layers.statistics import channel_statistics, normalize

#: Tokens start as patches, with a little of what the untrained stem sees.
_STEM_GAIN = 0.3


class PatchEmbed(nn.Module):
    """Linear embedding of patches; the weight is kept as a convolution's, under the name that timm and MAE give it."""

    def __init__(self, in_channels: int, dims: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dims, patch_size, patch_size)

    def forward(self, image: Tensor, grid: TokenGrid) -> Tensor:
        """(N, C, h*p, w*p) -> (N, L, D)."""
        patches = patchify(image, grid, self.proj.kernel_size[0])
        return linear(patches, self.proj.weight.flatten(1), self.proj.bias)


@MODELS.register_module()
class DeFusionViT(BaseModule):
    """ViT encoder with common and unique decomposition and fusion (DeFusion++, Liang et al., arXiv 2410.12274).

    It takes RGB images with values in [0, 1] of any size and normalises them with ImageNet statistics itself.

    Args:
        arch: ``'tiny'`` (the published ViT-T/16), ``'nano'`` (for CPUs), or a dict of sizes, see
            :func:`mmdefusion.models.layers.get_arch`.
        in_channels: Channels C of one image.
        num_sources: Images that :meth:`forward` takes: 1, 2, or None for either. Say 2 in a config for pairs: a
            pipeline or preprocessor that loses one of them is then an error.
        out_type: Features that :meth:`forward` returns: ``'fused'``, ``'common'`` or ``'unique'`` of D channels, or
            ``'concat'``: common, both unique ones and fused, 4D channels. ``'unique'`` is the sum of both.
        out_details: Strides of the stem's features that :meth:`forward` returns before the map, finest first, those of
            both sources along the channels: what tokens are too coarse for. Powers of two below the patch size, for an
            architecture with a stem.
        drop_path_rate: Stochastic depth of the encoder, rising linearly from 0 to this with depth.
        frozen_stages: Stages that are not trained and stay in evaluation mode. -1: none; 0: the patch embedding and the
            stem; k: also the first k blocks of the encoder, with k = depth its norm too; depth + 1: also the
            decomposition; depth + 2: also the fusion, which is everything.
        with_cp: Recompute the encoder's and the decomposition's activations in the backward pass to save memory.
        init_cfg: ``dict(type='Pretrained', checkpoint=..., prefix=...)`` loads a pretraining checkpoint of this package
            (``prefix='backbone.'``), or the encoder from public ViT, MAE or TinyMIM weights (without prefix).
    """

    def __init__(
        self,
        arch: str | dict = 'tiny',
        in_channels: int = 3,
        num_sources: int | None = None,
        out_type: str = 'fused',
        out_details: Sequence[int] = (),
        drop_path_rate: float = 0.0,
        frozen_stages: int = -1,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if out_type not in ('fused', 'common', 'unique', 'concat'):
            raise ValueError(f"out_type must be 'fused', 'common', 'unique' or 'concat', got {out_type!r}")
        self.arch = get_arch(arch)
        if num_sources not in (None, 1, 2):
            raise ValueError(f'num_sources must be 1, 2 or None (either), got {num_sources!r}')
        self.in_channels = in_channels
        self.num_sources = num_sources
        strides = [2**level for level in range(len(self.arch.detail_widths))]
        if sorted(set(out_details) & set(strides)) != list(out_details):
            raise ValueError(f'out_details must be some of {strides} for this arch, finest first, got {out_details}')
        self.out_type = out_type
        self.out_details = tuple(out_details)
        self.with_cp = with_cp
        self._range_checked = False
        dims, depth = self.arch.embed_dims, self.arch.depth
        drop_paths = torch.linspace(0, drop_path_rate, depth).tolist()
        self.patch_embed = PatchEmbed(in_channels, dims, self.arch.patch_size)
        if self.arch.detail_dims:
            self.stem = DetailStem(self.arch, in_channels)
            self.stem_embed = nn.Linear(self.arch.detail_widths[-1] * self.arch.detail_scale**2, dims)
        self.blocks = nn.ModuleList(
            Block(dims, self.arch.num_heads, self.arch.mlp_ratio, drop_path) for drop_path in drop_paths
        )
        self.norm = nn.LayerNorm(dims, eps=1e-6)
        self.skip_norms = nn.ModuleList(nn.LayerNorm(dims, eps=1e-6) for _ in range(2))
        self.decomposition = CommonUniqueDecomposition(self.arch)
        self.skip_decomposition = CommonUniqueDecomposition(self.arch)
        self.fusion = FeatureFusion(self.arch)
        mean, std = channel_statistics(in_channels)
        self.register_buffer('mean', mean.view(1, -1, 1, 1), persistent=False)
        self.register_buffer('std', std.view(1, -1, 1, 1), persistent=False)
        init_vit_weights(self)
        init_patch_embed(self.patch_embed.proj)
        if self.arch.detail_dims:
            nn.init.xavier_uniform_(self.stem_embed.weight, gain=_STEM_GAIN)
        self.freeze(frozen_stages)

    def freeze(self, stages: int) -> None:
        """Freezes the first stages and has the others trained.

        Args:
            stages: As ``frozen_stages``.

        Raises:
            ValueError: There is no such stage.
        """
        depth = self.arch.depth
        if not -1 <= stages <= depth + 2:
            raise ValueError(
                f'frozen_stages must be from -1 (nothing) to {depth + 2} (everything: patch embedding, {depth} blocks, '
                f'decomposition, fusion), got {stages}'
            )
        self.frozen_stages = stages
        for index, modules in enumerate(self._stages()):
            for module in modules:
                module.requires_grad_(index > stages)
        self.train(self.training)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter, for learning rates that decay with depth.

        Args:
            param_name: Name of the parameter.
            prefix: What stands before the backbone's own names, for example ``'backbone.'``.

        Returns:
            The depth and the number of depths: 0 for the patch embedding, i + 1 for block i, depth for the encoder's
            norm, depth + 1 for the decomposition, depth + 2 for the fusion, and the last, depth + 3, for what lies
            outside of the backbone. The norms of the skip stream belong to the first block, whose tokens they take.
        """
        depth = self.arch.depth
        if not param_name.startswith(prefix):
            return depth + 3, depth + 4
        module, index, *_ = param_name[len(prefix) :].split('.')
        depths = dict(
            patch_embed=0,
            stem=0,
            stem_embed=0,
            skip_norms=1,
            norm=depth,
            decomposition=depth + 1,
            skip_decomposition=depth + 1,
            fusion=depth + 2,
        )
        return int(index) + 1 if module == 'blocks' else depths[module], depth + 4

    def _stages(self) -> list[list[nn.Module]]:
        stages = [[self.patch_embed], *([block] for block in self.blocks)]
        if self.arch.detail_dims:
            stages[0] += [self.stem, self.stem_embed]
        stages[1].append(self.skip_norms)
        stages[-1].append(self.norm)
        stages += [[self.decomposition, self.skip_decomposition], [self.fusion]]
        return stages

    def train(self, mode: bool = True) -> DeFusionViT:
        """Sets the mode; frozen stages stay in evaluation mode."""
        super().train(mode)
        for modules in self._stages()[: self.frozen_stages + 1]:
            for module in modules:
                module.eval()
        return self

    def init_weights(self) -> None:
        """Loads the weights that ``init_cfg`` names; without it the weights stay as they were constructed.

        Raises:
            ValueError: Nothing in the file matches, it holds a ``DeFusionViT`` of another ``arch``, or ``init_cfg`` is
                of another type than 'Pretrained'.
        """
        if self.init_cfg and not self.is_init:
            report = load_pretrained(self, self.init_cfg)
            found = (*report.matched, *report.unused)
            # A public ViT may lend what fits of it. One of this kind that fits in part was meant for another arch.
            if report.mismatched and any(name.startswith('decomposition.') for name in found):
                raise ValueError(
                    f'the backbone in this file is of another arch than this one: '
                    f'{report.summary(self.init_cfg["checkpoint"])}'
                )
        self._is_init = True

    def _run(self, module: nn.Module, *args: object) -> Tensor | tuple[Tensor, Tensor]:
        if self.with_cp and module.training:
            return checkpoint(module, *args, use_reentrant=False)
        return module(*args)

    def encode(self, images: Tensor, grid: TokenGrid, details: Sequence[Tensor] = ()) -> tuple[Tensor, Tensor]:
        """Runs the encoder.

        Args:
            images: Normalised RGB, (N, C, h*p, w*p).
            grid: The token grid of the images.
            details: Features of the stem, of which the tokens take in the coarsest; they may end before the grid does.

        Returns:
            Deep tokens (after the last block and the norm) and shallow tokens (around the first block), (N, L, D) each.
        """
        x = self.patch_embed(images, grid)
        if details:
            scale, coarsest = self.arch.detail_scale, details[-1]
            missing = (grid.width * scale - coarsest.size(3), grid.height * scale - coarsest.size(2))
            # A convolution of patches, which moves the channels of a pixel as a whole.
            weight = self.stem_embed.weight.unflatten(1, (-1, scale, scale))
            coarsest = F.pad(coarsest, (0, missing[0], 0, missing[1]))
            x = x + patchify(F.conv2d(coarsest, weight, self.stem_embed.bias, stride=scale), grid, 1)
        x = x + sincos_positions(grid, x.size(-1), x.device).to(x.dtype)
        shift = window_shift(grid, x.device)
        for index, block in enumerate(self.blocks):
            before = x
            x = self._run(block, x, grid.num_windows, shift if index % 2 else None)
            if index == 0:
                shallow = self.skip_norms[0](before) + self.skip_norms[1](x)
        return self.norm(x), shallow

    def decompose(self, x1: Tensor, x2: Tensor | None = None, both_orders: bool = False) -> DecomposedTokens:
        """Decomposes pairs of images into common and unique parts.

        Args:
            x1: First images, RGB in [0, 1], (N, C, H, W) of any H and W; reflected at the bottom and right to whole
                patches and windows.
            x2: Second images of the same shape; None stands for ``x1`` again.
            both_orders: Give the common parts in either order of the images.

        Returns:
            The parts, on the padded grid. For ``both_orders`` the common ones are (2N, L, D): those of (x1, x2), then
            those of (x2, x1).
        """
        image_size = tuple(x1.shape[-2:])
        patch_size = self.arch.patch_size
        grid = TokenGrid.of_image(*image_size, patch_size, self.arch.window_size)
        sources = [normalize(image, self.mean, self.std) for image in (x1, x2) if image is not None]
        images = reflect_pad(torch.cat(sources), grid.height * patch_size, grid.width * patch_size)
        rows, columns = (-(-side // patch_size) * patch_size for side in image_size)
        details = self.stem(images[..., :rows, :columns]) if self.arch.detail_dims else ()
        deep, shallow = self.encode(images, grid, details)
        if x2 is None:
            deep, shallow = deep.repeat(2, 1, 1), shallow.repeat(2, 1, 1)
            details = [level.repeat(2, 1, 1, 1) for level in details]
        common, unique = self._run(self.decomposition, deep, grid.num_windows, both_orders)
        skip_common, skip_unique = self._run(self.skip_decomposition, shallow, grid.num_windows, both_orders)
        return DecomposedTokens(common, unique, skip_common, skip_unique, grid, image_size, tuple(details))

    def fuse(self, tokens: DecomposedTokens) -> Tensor:
        """Fused tokens Z' of the parts, (N, L, D)."""
        return self._run(self.fusion, tokens)

    def _check_input(self, x: Tensor) -> None:
        accepted = {1: 'one image', 2: 'two'}
        if self.num_sources:
            accepted = {self.num_sources: accepted[self.num_sources]}
        if x.size(1) not in [count * self.in_channels for count in accepted]:
            channels = ' or '.join(f'{count * self.in_channels} channels ({name})' for count, name in accepted.items())
            raise ValueError(
                f'DeFusionViT expects {channels}, got an input of shape {tuple(x.shape)}. Pairs need LoadPairedImage '
                'in the pipeline and PairedDetDataPreprocessor or PairedSegDataPreProcessor: with bgr_to_rgb=True the '
                'stock preprocessors keep 3 of 6 channels'
            )
        # Once, because it waits for the device. Photometric transforms of the hosts go a little beyond [0, 1].
        if not self._range_checked:
            low, high = x.min().item(), x.max().item()
            if low < -1 or high > 2:
                raise ValueError(
                    f'DeFusionViT expects RGB in [0, 1] and normalises it itself, got values from {low:.4g} to '
                    f'{high:.4g}; give the data preprocessor a mean of 0 and an std of 255 for each channel'
                )
            self._range_checked = True

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Feature maps for a neck or head of a detector or segmentor.

        Args:
            x: One image (N, C, H, W) or two along the channels (N, 2C, H, W), RGB in [0, 1].

        Returns:
            For each stride s of ``out_details`` (N, 2 detail_widths[log2 s], H' / s, W' / s), where H' and W' are H and
            W rounded up to whole patches, and last the map (N, D, h, w), 4D channels for ``out_type='concat'``, with
            h = ceil(H / p), w = ceil(W / p).

        Raises:
            ValueError: The channels are not those of the expected number of images, or the values of the first input
                are far from [0, 1].
        """
        self._check_input(x)
        tokens = self.decompose(*x.split(self.in_channels, dim=1))
        parts = []
        if self.out_type in ('common', 'concat'):
            parts.append(tokens.common + tokens.skip_common)
        if self.out_type in ('unique', 'concat'):
            unique = (tokens.unique + tokens.skip_unique).chunk(2)
            parts.extend([sum(unique)] if self.out_type == 'unique' else unique)
        if self.out_type in ('fused', 'concat'):
            parts.append(self.fuse(tokens))
        rows, columns = (-(-side // self.arch.patch_size) for side in tokens.image_size)
        details = [tokens.details[stride.bit_length() - 1] for stride in self.out_details]
        details = [torch.cat(level.chunk(2), dim=1) for level in details]
        return (*details, to_map(torch.cat(parts, dim=-1), tokens.grid)[..., :rows, :columns])
