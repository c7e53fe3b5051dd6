# Copyright (c) mmdefusion authors. All rights reserved.
"""Training by epochs that can be resumed in the middle of one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice

from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from mmdefusion.datasets.base_dataset import counting_visits
from mmdefusion.registry import LOOPS


class _TrainedBatch(list):
    """Indices of a batch that was trained on before the interruption."""


class _MarkedBatches:
    """The batches of a batch sampler, the first ones marked as trained on."""

    def __init__(self, batches: Iterable[list[int]], trained: int) -> None:
        self.batches = batches
        self.trained = trained

    def __iter__(self) -> Iterator[list[int]]:
        for number, batch in enumerate(self.batches):
            yield _TrainedBatch(batch) if number < self.trained else batch

    def __len__(self) -> int:
        return len(self.batches)


class _RestOfEpoch(Dataset):
    """A dataset that makes no samples for batches that were trained on, but counts their visits."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __getitems__(self, indices: list[int]) -> list[dict] | None:
        """The samples of a batch; None for one that was trained on."""
        if not isinstance(indices, _TrainedBatch):
            return [self.dataset[index] for index in indices]
        with counting_visits():
            for index in indices:
                self.dataset[index]
        return None


def _collate(collate_fn: Callable, samples: list[dict] | None) -> dict | None:
    return None if samples is None else collate_fn(samples)


def rest_of_epoch(dataloader: DataLoader, trained: int) -> Iterator[dict]:
    """The batches of an epoch after the first ``trained`` ones, just as the whole epoch has them.

    Batches that were trained on go to the workers all the same, because later samples may depend on the worker and on
    how often it has seen them, but they are not loaded. A stream (``IterableDataset``) has to be read up to its place.

    Args:
        dataloader: The loader of the whole epoch.
        trained: Batches to leave out.
    """
    if isinstance(dataloader.dataset, IterableDataset):
        return islice(dataloader, trained, None)
    rest = DataLoader(
        _RestOfEpoch(dataloader.dataset),
        batch_sampler=_MarkedBatches(dataloader.batch_sampler, trained),
        collate_fn=partial(_collate, dataloader.collate_fn),
        num_workers=dataloader.num_workers,
        pin_memory=dataloader.pin_memory,
        timeout=dataloader.timeout,
        worker_init_fn=dataloader.worker_init_fn,
        multiprocessing_context=dataloader.multiprocessing_context,
        prefetch_factor=dataloader.prefetch_factor,
    )
    return (batch for batch in rest if batch is not None)


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """``EpochBasedTrainLoop`` that goes on where a checkpoint was made, also in the middle of an epoch.

    With ``ReproducibleRunHook`` and datasets of this package, a run that was killed and resumed from a checkpoint by
    iterations (``CheckpointHook`` with ``by_epoch=False``) then has the weights, bit for bit, of one that was not.
    Where the number of batches in an epoch has changed, because the run goes on with another number of processes or
    batch size, it goes on at the same share of the epoch.

    Args:
        *args: As of ``EpochBasedTrainLoop``.
        **kwargs: As of ``EpochBasedTrainLoop``.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._trained = 0

    def run(self) -> nn.Module:
        """Trains from the place that the checkpoint has, if one was loaded."""
        length = len(self.dataloader)
        # Kept in the checkpoint: an epoch's number, its first iteration and its batches.
        epoch, first_iter, old_length = self.runner.message_hub.get_info('epoch_in_progress') or (-1, 0, length)
        # A checkpoint that was made at the end of an epoch has the number of the next one.
        self._trained = self._iter - first_iter if epoch == self._epoch else 0
        if old_length != length:
            self._trained = round(self._trained * length / old_length)
            print_log(
                f'An epoch has {length} batches, and had {old_length} before. Learning rates by iteration go on as if '
                'it had not changed; the same total batch size (--total-batch-size) keeps the number of batches',
                logger='current',
                level=logging.WARNING,
            )
        self._max_iters = self._iter - self._trained + (self._max_epochs - self._epoch) * length
        return super().run()

    def run_epoch(self) -> None:
        """Trains for what is left of the epoch."""
        trained, self._trained = self._trained, 0
        length = len(self.dataloader)
        self.runner.message_hub.update_info('epoch_in_progress', [self._epoch, self._iter - trained, length])
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        if trained < length:
            batches = rest_of_epoch(self.dataloader, trained) if trained else self.dataloader
            for number, batch in enumerate(batches, start=trained):
                self.run_iter(number, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
