# Copyright (c) mmdefusion authors. All rights reserved.
"""Pictures of what the network makes of a few samples, while it trains."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.runner import Runner, autocast
from mmengine.visualization import Visualizer

from mmdefusion.registry import DATASETS, HOOKS
from mmdefusion.structures import FusionDataSample


@HOOKS.register_module()
class FusionVisualizationHook(Hook):
    """Draws panels at each validation: sources, common, unique, fused, and masked reconstruction in pretraining.

    The panels go to the visualizer's backends (TensorBoard, ``vis_data/vis_image``).

    Args:
        num_samples: The first so many samples of the validation set are drawn.
        pair_dataset: Config of a dataset of pairs that are fused and drawn besides, every one of them; None draws no
            pairs.
        interval: Draw at every so many validations.
    """

    # EMAHook (NORMAL) takes the averaged weights out again after validation.
    priority = 'ABOVE_NORMAL'

    def __init__(self, num_samples: int = 3, pair_dataset: dict | None = None, interval: int = 1) -> None:
        self.num_samples = num_samples
        self.pairs = pair_dataset and DATASETS.build(pair_dataset)
        self.interval = interval
        self.drawn = 0
        self.validations = 0

    @property
    def _due(self) -> bool:
        return (self.validations - 1) % self.interval == 0

    def before_val_epoch(self, runner: Runner) -> None:
        """Starts counting anew."""
        self.drawn = 0
        self.validations += 1

    @staticmethod
    def _draw(runner: Runner, name: str, image: torch.Tensor, sample: FusionDataSample) -> None:
        Visualizer.get_current_instance().add_datasample(name, image, data_sample=sample, step=runner.iter)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[FusionDataSample] | None = None,
    ) -> None:
        """Draws the first samples of the validation set."""
        for image, sample in zip(data_batch['inputs'], outputs, strict=True):
            if self._due and self.drawn < self.num_samples:
                self._draw(runner, f'val_sample_{self.drawn}', image, sample)
                self.drawn += 1

    @torch.no_grad()
    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Fuses and draws the pairs."""
        if not (self.pairs and self._due):
            return
        for index, item in enumerate(self.pairs):
            with autocast(enabled=runner.val_loop.fp16):
                sample = runner.model.val_step(pseudo_collate([item]))[0]
            self._draw(runner, f'val_pair_{index}', item['inputs'], sample)
