# Copyright (c) mmdefusion authors. All rights reserved.
"""Sources and targets of common and unique decomposition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmdefusion.registry import MODELS

from .degradations import DECOMPOSABLE, DEGRADATIONS


class CUDTargets(NamedTuple):
    """Two degraded views of a photo and the parts that they should be decomposed into, (N, C, H, W) each, in [0, 1].

    ``common + unique1 + unique2 == fused``.

    Attributes:
        decomposable: Whether the parts of a photo can be told from its views, (N,) bool.
    """

    view1: Tensor
    view2: Tensor
    common: Tensor
    unique1: Tensor
    unique2: Tensor
    fused: Tensor
    decomposable: Tensor


@MODELS.register_module()
class CUDTargetGenerator(BaseModule):
    """Degrades photos into pairs of views and gives the parts of each pair.

    ``view_i = M_i x + (1 - M_i) n_i`` with noise ``n_i = clamp(|N(0, 1)|, 0, 1)``; ``common = M1 M2 x``,
    ``unique1 = M1 (1 - M2) x``, ``unique2 = (1 - M1) M2 x``, ``fused = x`` (DeFusion++, section on CUD). It has no
    parameters. The random numbers come from the device's default generator.

    Where a photo is smooth, a blurred or faded view shows the same as the clean one, and nothing in the views tells
    common from unique: such views teach what to fuse, not how to decompose.

    Args:
        degradations: What takes the place of ``n_i`` in both views, drawn for each photo: ``'noise'`` as published,
            ``'blur'`` (out of focus), ``'exposure'`` (too dark or too bright) or ``'contrast'`` (frequency bands
            weakened). A name that is given twice is drawn twice as often.
    """

    def __init__(self, degradations: Sequence[str] = ('noise',)) -> None:
        super().__init__()
        unknown = sorted(set(degradations) - set(DEGRADATIONS))
        if unknown or not degradations:
            raise ValueError(f'degradations must be some of {list(DEGRADATIONS)}, got {list(degradations)}')
        self.degradations = tuple(degradations)

    def degrade(self, img: Tensor, drawn: Tensor) -> Tensor:
        """What a view shows where it does not see the photo.

        Args:
            img: Photos, (N, C, H, W).
            drawn: Index of each one's degradation, (N,) int64.

        Returns:
            (N, C, H, W).
        """
        if len(self.degradations) == 1:
            return DEGRADATIONS[self.degradations[0]](img)
        result = torch.empty_like(img)
        for index, name in enumerate(self.degradations):
            chosen = drawn == index
            if chosen.any():
                result[chosen] = DEGRADATIONS[name](img[chosen])
        return result

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
        drawn = torch.randint(len(self.degradations), (img.size(0),), device=img.device)
        decomposable = torch.tensor([name in DECOMPOSABLE for name in self.degradations], device=img.device)[drawn]
        return CUDTargets(
            view1=torch.where(mask1.bool(), img, self.degrade(img, drawn)),
            view2=torch.where(mask2.bool(), img, self.degrade(img, drawn)),
            common=mask1 * mask2 * img,
            unique1=mask1 * (1 - mask2) * img,
            unique2=(1 - mask1) * mask2 * img,
            fused=img,
            decomposable=decomposable,
        )
