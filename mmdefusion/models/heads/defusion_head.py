# Copyright (c) mmdefusion authors. All rights reserved.
"""The loss of joint CUD and MFM pretraining."""

from __future__ import annotations

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmdefusion.registry import MODELS

from ..losses import ssim
from ..necks import Decomposition
from ..target_generators import CUDTargets

#: Error of a part at each pixel.
_PART_LOSSES = dict(l1=F.l1_loss, mse=F.mse_loss)


@MODELS.register_module()
class DeFusionHead(BaseModule):
    """Weighted reconstruction losses, each a mean over samples and pixels.

    ``20 L1(common) + 10 L1(unique1) + 10 L1(unique2) + 100 L1(fused) + 50 (1 - SSIM(fused)) / 2 + 2 L1(masked)`` with
    the published weights. The release sums over the batch instead of averaging.

    Args:
        common_weight: Weight of the common image's L1.
        unique_weight: Weight of each unique image's L1.
        fused_weight: Weight of the fused image's L1.
        ssim_weight: Weight of the fused image's ``(1 - SSIM) / 2``, window 11.
        masked_weight: Weight of the L1 of masked feature modeling.
        part_loss: ``'l1'`` as published, or ``'mse'``, the squared error. More than half of a part is black, and black
            is the best constant for L1: short trainings do not leave it.

    Raises:
        ValueError: ``part_loss`` is unknown.
    """

    def __init__(
        self,
        common_weight: float = 20.0,
        unique_weight: float = 10.0,
        fused_weight: float = 100.0,
        ssim_weight: float = 50.0,
        masked_weight: float = 2.0,
        part_loss: str = 'l1',
    ) -> None:
        super().__init__()
        if part_loss not in _PART_LOSSES:
            raise ValueError(f'part_loss must be one of {sorted(_PART_LOSSES)}, got {part_loss!r}')
        self.part_loss = _PART_LOSSES[part_loss]
        self.common_weight = common_weight
        self.unique_weight = unique_weight
        self.fused_weight = fused_weight
        self.ssim_weight = ssim_weight
        self.masked_weight = masked_weight

    def loss(self, pred: Decomposition, target: CUDTargets) -> dict[str, Tensor]:
        """Named, weighted losses.

        Args:
            pred: Decoded images, all five.
            target: The parts they should show; the masked one should show ``fused``.

        Returns:
            Scalars ``loss_common``, ``loss_unique1``, ``loss_unique2``, ``loss_fused``, ``loss_ssim``, ``loss_masked``.
        """
        return dict(
            loss_common=self.common_weight * self._part_error(pred.common, target.common, target.decomposable),
            loss_unique1=self.unique_weight * self._part_error(pred.unique1, target.unique1, target.decomposable),
            loss_unique2=self.unique_weight * self._part_error(pred.unique2, target.unique2, target.decomposable),
            loss_fused=self.fused_weight * F.l1_loss(pred.fused, target.fused),
            loss_ssim=self.ssim_weight * (1 - ssim(pred.fused, target.fused).mean()) / 2,
            loss_masked=self.masked_weight * F.l1_loss(pred.masked, target.fused),
        )

    def _part_error(self, pred: Tensor, target: Tensor, decomposable: Tensor) -> Tensor:
        """Mean over those photos whose parts can be told; 0 if there are none."""
        errors = self.part_loss(pred.float(), target, reduction='none').mean(dim=(1, 2, 3)) * decomposable
        return errors.sum() / decomposable.sum().clamp(min=1)
