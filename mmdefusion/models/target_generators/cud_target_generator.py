# Copyright (c) mmdefusion authors. All rights reserved.
"""Sources and targets of common and unique decomposition."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmdefusion.registry import MODELS


class CUDTargets(NamedTuple):
    """Two degraded views of a photo and the parts that they should be decomposed into, (N, C, H, W) each, in [0, 1].

    ``common + unique1 + unique2 == fused``.
    """

    view1: Tensor
    view2: Tensor
    common: Tensor
    unique1: Tensor
    unique2: Tensor
    fused: Tensor


@MODELS.register_module()
class CUDTargetGenerator(BaseModule):
    """Degrades photos into pairs of views and gives the parts of each pair.

    ``view_i = M_i x + (1 - M_i) n_i`` with noise ``n_i = clamp(|N(0, 1)|, 0, 1)``; ``common = M1 M2 x``,
    ``unique1 = M1 (1 - M2) x``, ``unique2 = (1 - M1) M2 x``, ``fused = x`` (DeFusion++, section on CUD). It has no
    parameters. The noise comes from the device's default generator.
    """

    def forward(self, img: Tensor, masks: Tensor) -> CUDTargets:
        """Makes views and targets.

        Args:
            img: Photos, RGB in [0, 1], (N, C, H, W).
            masks: Which pixels each view sees, zeros and ones, (N, 2, H, W); one of both sees every pixel.

        Returns:
            Views and targets.

        Raises:
            ValueError: The masks do not fit the photos.
        """
        if masks.shape != (img.size(0), 2, *img.shape[-2:]):
            raise ValueError(
                f'masks of photos of shape {tuple(img.shape)} must have the shape (N, 2, H, W), '
                f'got {tuple(masks.shape)}'
            )
        mask1, mask2 = masks.to(img.dtype).split(1, dim=1)
        noise = torch.randn(2, *img.shape, device=img.device, dtype=img.dtype).abs_().clamp_(max=1)
        return CUDTargets(
            view1=torch.where(mask1.bool(), img, noise[0]),
            view2=torch.where(mask2.bool(), img, noise[1]),
            common=mask1 * mask2 * img,
            unique1=mask1 * (1 - mask2) * img,
            unique2=(1 - mask1) * mask2 * img,
            fused=img,
        )
