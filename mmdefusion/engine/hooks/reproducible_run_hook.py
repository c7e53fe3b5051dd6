# Copyright (c) mmdefusion authors. All rights reserved.
"""Random numbers that depend on the place in training, not on how it was reached."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmdefusion.datasets import SeededDataset
from mmdefusion.registry import HOOKS


def seeded_datasets(dataset: Dataset) -> list[SeededDataset]:
    """All seeded datasets inside a dataset and its wrappers."""
    if isinstance(dataset, SeededDataset):
        return [dataset]
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    return [leaf for part in inner if part is not None for leaf in seeded_datasets(part)]


@HOOKS.register_module()
class ReproducibleRunHook(Hook):
    """Seeds every training step from (seed, rank, iteration) and every epoch's augmentations from (seed, epoch).

    With it a run that was interrupted and resumed at an epoch's end gives the same weights as one that was not, and
    validation draws the same noise every time. The seed is the Runner's ``randomness.seed``.
    """

    priority = 'VERY_HIGH'

    @staticmethod
    def _seed(*keys: int) -> None:
        words = np.random.SeedSequence(keys).generate_state(3)
        random.seed(int(words[0]))
        np.random.seed(int(words[1]))
        torch.manual_seed(int(words[2]))

    def before_train_epoch(self, runner: Runner) -> None:
        """Gives the training set its random stream of the epoch."""
        for dataset in seeded_datasets(runner.train_dataloader.dataset):
            dataset.set_stream(runner.seed, runner.epoch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Seeds noise, masking, dropout and stochastic depth of the step."""
        self._seed(runner.seed, get_rank(), runner.iter)

    def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Seeds the noise of a validation batch, the same in every epoch and run."""
        self._seed(get_rank(), batch_idx)

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Seeds the noise of a test batch."""
        self._seed(get_rank(), batch_idx)
