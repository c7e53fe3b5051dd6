# Copyright (c) mmdefusion authors. All rights reserved.
"""Masked image modeling: what gives the encoder of the decomposition a start that knows scenes."""

from __future__ import annotations

import torch
from torch import Tensor

from mmdefusion.registry import MODELS

from ..layers import TokenGrid, draw_visible, hidden_tokens, unpatchify
from ..layers.statistics import normalize
from .mae import MAE


@MODELS.register_module()
class SimMIM(MAE):
    """Masked image modeling of ``DeFusionViT`` (SimMIM, Xie et al., arXiv 2111.09886).

    Patches of images are hidden from the encoder, stem included, and predicted from its tokens. The published recipe of
    DeFusion++ starts from such an encoder; ``load_from`` or ``init_cfg`` of pretraining takes a checkpoint of this
    algorithm.

    Args:
        backbone: Config of the encoder, see ``DeFusionViT``.
        decompose: Predict the patches of each image of a pair from its parts, ``common + unique + fused``, which trains
            decomposition and fusion as well: what is hidden in one image may be seen in the other. Without it they have
            no part in it and stay as they were initialised.
        **kwargs: Arguments of :class:`MAE`: ``neck``, the decoder, see ``SimMIMDecoder``, ``head``, the loss, see
            ``MAEHead``, with the backbone's patch size, and others.
    """

    def __init__(self, backbone: dict, decompose: bool = False, **kwargs) -> None:
        super().__init__(backbone, **kwargs)
        self.decompose = decompose
        if not decompose:
            for name in ('skip_norms', 'decomposition', 'skip_decomposition', 'fusion'):
                getattr(self.backbone, name).requires_grad_(False)

    def loss(self, inputs: Tensor) -> dict[str, Tensor]:
        """The loss of images, (N, C, H, W), for ``decompose`` also of pairs, (N, 2C, H, W)."""
        images = torch.cat(inputs.split(self.backbone.in_channels, dim=1))
        pred, ids, grid = self.complete(images, len(images) // len(inputs))
        return self.head.loss(pred, images, ids, grid)

    def complete(self, images: Tensor, num_sources: int = 1) -> tuple[Tensor, Tensor, TokenGrid]:
        """Hides most patches, in each image others, and predicts them.

        Args:
            images: RGB in [0, 1], (N, C, H, W), H and W whole windows, or whole patches where attention is global.
            num_sources: 2 for pairs: all first images, then all second ones.

        Returns:
            Predicted patches (N, L, C*p*p), positions of the visible ones (N, K), and the grid.

        Raises:
            ValueError: H or W is no multiple of a window, or there are pairs without ``decompose``.
        """
        backbone = self.backbone
        patch_size, window_size = backbone.arch.patch_size, backbone.arch.window_size
        grid = TokenGrid.of_image(*images.shape[-2:], patch_size, window_size)
        if (grid.height * patch_size, grid.width * patch_size) != tuple(images.shape[-2:]):
            raise ValueError(
                f'images of {images.size(2)}x{images.size(3)} pixels; expected multiples of '
                f'{patch_size * (window_size or 1)}'
            )
        ids = draw_visible(images.size(0), 1, grid.num_tokens, self.neck.mask_ratio, images.device)
        hidden = hidden_tokens(ids, grid.num_tokens)[..., None].expand(-1, -1, patch_size**2)
        seen = torch.where(unpatchify(hidden, grid, patch_size), backbone.mean, images)
        return self.neck(self._tokens(seen, grid, num_sources), grid), ids, grid

    def _tokens(self, seen: Tensor, grid: TokenGrid, num_sources: int) -> Tensor:
        """What is known of each image, (N, L, D)."""
        backbone = self.backbone
        if self.decompose:
            parts = backbone.decompose(*seen.chunk(num_sources))
            shared = parts.common + parts.skip_common + backbone.fuse(parts)
            # Of an image that comes alone both unique parts are the same.
            unique = (parts.unique + parts.skip_unique)[: len(seen)]
            return shared.repeat(num_sources, 1, 1) + unique
        if num_sources > 1:
            raise ValueError('SimMIM takes pairs with decompose=True, and single images (3 channels) without it')
        seen = normalize(seen, backbone.mean, backbone.std)
        details = backbone.stem(seen) if backbone.arch.detail_dims else ()
        return backbone.encode(seen, grid, details)[0]
