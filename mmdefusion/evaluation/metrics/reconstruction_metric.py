# Copyright (c) mmdefusion authors. All rights reserved.
"""How well pretraining reconstructs photos."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric

from mmdefusion.models.losses import ssim
from mmdefusion.registry import METRICS


@METRICS.register_module()
class ReconstructionMetric(BaseMetric):
    """PSNR (dB) and SSIM of predicted images against the truth, RGB, each image's own value averaged over images.

    Samples without ``gt_fused`` or without a prediction (real pairs) are left out. PSNR of a perfect image counts as
    100 dB.

    Args:
        keys: Predictions to score: ``pred_<key>`` against ``gt_fused``, reported as ``psnr_<key>``, ``ssim_<key>``.
        collect_device: As in MMEngine.
        prefix: As in MMEngine.
    """

    def __init__(
        self,
        keys: Sequence[str] = ('fused', 'masked'),
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        self.keys = tuple(keys)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Scores the samples of a batch."""
        for sample in data_samples:
            if 'gt_fused' not in sample:
                continue
            truth = sample['gt_fused']
            scores = {}
            for key in self.keys:
                image = sample.get(f'pred_{key}')
                if image is not None:
                    error = (image - truth).square().mean().clamp_min(1e-10)
                    scores[f'psnr_{key}'] = float(-10 * torch.log10(error))
                    scores[f'ssim_{key}'] = float(ssim(image[None], truth[None]))
            self.results.append(scores)

    def compute_metrics(self, results: list[dict[str, float]]) -> dict[str, float]:
        """Means over the images that have the value."""
        names = sorted({name for scores in results for name in scores})
        values = {name: [scores[name] for scores in results if name in scores] for name in names}
        return {name: sum(column) / len(column) for name, column in values.items()}
