# Copyright (c) mmdefusion authors. All rights reserved.
"""The loss of masked autoencoders."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmdefusion.registry import MODELS

from ..layers import TokenGrid, hidden_tokens, patchify, unpatchify


@MODELS.register_module()
class MAEHead(BaseModule):
    """Mean squared error of the patches that the encoder did not see (MAE, He et al. 2022).

    Args:
        patch_size: Side p of a patch in pixels.
        norm_pix: Ask for each patch with mean 0 and variance 1, over its pixels and channels, which gives the better
            features.
        eps: Added to that variance. At 1e-6, as published, patches of flat noise count like all others; infrared skies
            have many of them.
    """

    def __init__(self, patch_size: int = 16, norm_pix: bool = True, eps: float = 1e-6) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.norm_pix = norm_pix
        self.eps = eps

    def loss(self, pred: Tensor, images: Tensor, ids: Tensor, grid: TokenGrid) -> dict[str, Tensor]:
        """The loss.

        Args:
            pred: Predicted patches, (N, L, C*p*p).
            images: RGB in [0, 1], (N, C, H, W).
            ids: Positions of the visible patches, (N, K).
            grid: Where the patches lie.

        Returns:
            ``loss_mae``, a scalar.
        """
        target = patchify(images, grid, self.patch_size)
        if self.norm_pix:
            mean, std = self._statistics(target)
            target = (target - mean) / std
        error = (pred.float() - target).square().mean(dim=-1)
        return dict(loss_mae=error[hidden_tokens(ids, grid.num_tokens)].mean())

    def reconstruct(self, pred: Tensor, images: Tensor, ids: Tensor, grid: TokenGrid) -> tuple[Tensor, Tensor]:
        """Pictures to look at, (N, C, H, W), not clamped.

        Predictions of normalised patches get mean and standard deviation of the true ones.

        Args:
            pred: Predicted patches, (N, L, C*p*p).
            images: RGB in [0, 1], (N, C, H, W).
            ids: Positions of the visible patches, (N, K).
            grid: Where the patches lie.

        Returns:
            What the encoder saw, gray elsewhere; and the same with the prediction elsewhere.
        """
        truth = patchify(images, grid, self.patch_size)
        pred = pred.float()
        if self.norm_pix:
            mean, std = self._statistics(truth)
            pred = pred * std + mean
        hidden = hidden_tokens(ids, grid.num_tokens)[..., None]
        pictures = (torch.where(hidden, filling, truth) for filling in (torch.full_like(truth, 0.5), pred))
        return tuple(unpatchify(patches, grid, self.patch_size) for patches in pictures)

    def _statistics(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each patch, (N, L, 1)."""
        return patches.mean(dim=-1, keepdim=True), (patches.var(dim=-1, keepdim=True) + self.eps).sqrt()
