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
    """Masked image modeling of the encoder of ``DeFusionViT`` (SimMIM, Xie et al., arXiv 2111.09886).

    Patches of single images are hidden from the encoder, stem included, and predicted from its tokens. The published
    recipe of DeFusion++ starts from such an encoder; ``load_from`` or ``init_cfg`` of pretraining takes a checkpoint of
    this algorithm. Decomposition and fusion have no part in it and stay as they were initialised.

    Args:
        backbone: Config of the encoder, see ``DeFusionViT``.
        **kwargs: Arguments of :class:`MAE`: ``neck``, the decoder, see ``SimMIMDecoder``, ``head``, the loss, see
            ``MAEHead``, with the backbone's patch size, and others.
    """

    def __init__(self, backbone: dict, **kwargs) -> None:
        super().__init__(backbone, **kwargs)
        for name in ('skip_norms', 'decomposition', 'skip_decomposition', 'fusion'):
            getattr(self.backbone, name).requires_grad_(False)

    def complete(self, images: Tensor) -> tuple[Tensor, Tensor, TokenGrid]:
        """Hides most patches and predicts them.

        Args:
            images: RGB in [0, 1], (N, C, H, W), H and W whole windows, or whole patches where attention is global.

        Returns:
            Predicted patches (N, L, C*p*p), positions of the visible ones (N, K), and the grid.

        Raises:
            ValueError: H or W is no multiple of a window.
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
        seen = normalize(seen, backbone.mean, backbone.std)
        details = backbone.stem(seen) if backbone.arch.detail_dims else ()
        tokens, _ = backbone.encode(seen, grid, details)
        return self.neck(tokens, grid), ids, grid
