# Copyright (c) mmdefusion authors. All rights reserved.
"""Batches of several kinds of data in turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from mmengine.dataset import ConcatDataset, DefaultSampler
from torch.utils.data import Sampler

from mmdefusion.registry import DATA_SAMPLERS


def make_cycle(ratio: Sequence[int]) -> list[int]:
    """The order of kinds in one cycle, each spread over it (smooth weighted round-robin).

    Args:
        ratio: Batches of each kind in a cycle.

    Returns:
        Kinds, ``sum(ratio)`` of them: (3, 1) gives 0, 0, 1, 0.
    """
    credit = np.zeros(len(ratio), dtype=int)
    cycle = []
    for _ in range(sum(ratio)):
        credit += ratio
        kind = int(credit.argmax())
        credit[kind] -= sum(ratio)
        cycle.append(kind)
    return cycle


@DATA_SAMPLERS.register_module()
class AlternatingBatchSampler(Sampler[list[int]]):
    """Batches from the parts of a ``ConcatDataset`` in turn; every batch holds samples of one part, its kind.

    .. code-block:: python

        train_dataloader = dict(
            batch_size=16,
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_sampler=dict(type='AlternatingBatchSampler', ratio=(2, 1)),
            dataset=dict(
                type='ConcatDataset',
                datasets=[photos, pairs],
                ignore_keys=['dataset_type', 'task_name'],
            ),
        )

    The batches of all epochs are one sequence: kinds follow each other in cycles of ``sum(ratio)`` batches, and each
    kind goes through its samples in a random order, then in another one, and so on, however long an epoch is. So all
    samples of a kind are used equally often. Which samples batch i of epoch e holds is a function of the sampler's
    seed, e and i. All ranks take the same kind at the same step, and W ranks with batches of B together take the
    samples of one process with batches of W * B.

    An epoch is a number of batches, by default as many as it takes to go through one kind once (its last, incomplete
    batch left out). Every other kind is gone through less than once, or several times, as its share in ``ratio``
    has it.

    Args:
        sampler: A ``DefaultSampler`` over a ``ConcatDataset``; gives seed, epoch, rank, and whether to shuffle.
        batch_size: Samples in a batch of one process.
        ratio: Batches of each kind in a cycle, whole numbers from 0; default one of each.
        epoch_kind: The kind that an epoch goes through once.
        num_batches: Batches in an epoch; takes the place of ``epoch_kind``.

    Raises:
        TypeError: If the sampler or its dataset is of another type.
        ValueError: If ``ratio`` does not fit the dataset, or nothing determines the epoch's length.
    """

    def __init__(
        self,
        sampler: DefaultSampler,
        batch_size: int,
        ratio: Sequence[int] | None = None,
        epoch_kind: int = 0,
        num_batches: int | None = None,
    ) -> None:
        if not isinstance(sampler, DefaultSampler) or not isinstance(sampler.dataset, ConcatDataset):
            raise TypeError(
                'AlternatingBatchSampler needs a DefaultSampler over a ConcatDataset, found '
                f'{type(sampler).__name__} over {type(getattr(sampler, "dataset", None)).__name__}'
            )
        self.sampler = sampler
        self.batch_size = batch_size
        self.sizes = [len(dataset) for dataset in sampler.dataset.datasets]
        self.ratio = (1,) * len(self.sizes) if ratio is None else tuple(ratio)
        if len(self.ratio) != len(self.sizes) or min(self.ratio) < 0 or not any(self.ratio):
            raise ValueError(
                f'ratio needs a whole number from 0 for each of the {len(self.sizes)} datasets, one of them above 0, '
                f'found {self.ratio}'
            )
        if num_batches is not None and num_batches < 1:
            raise ValueError(f'num_batches must be at least 1, found {num_batches}')
        if num_batches is None and not (0 <= epoch_kind < len(self.ratio) and self.ratio[epoch_kind]):
            raise ValueError(f'epoch_kind must be a kind with a share in ratio={self.ratio}, found {epoch_kind}')
        self.cycle = make_cycle(self.ratio)
        if num_batches is None:
            once = max(1, self.sizes[epoch_kind] // (batch_size * sampler.world_size))
            num_batches = -(-once * len(self.cycle) // self.ratio[epoch_kind])
        self.num_batches = num_batches
        self._order = lru_cache(maxsize=2 * len(self.sizes))(self._draw_order)

    def _draw_order(self, kind: int, turn: int) -> np.ndarray:
        """The order of a kind's samples when it is gone through for the ``turn``-th time."""
        size = self.sizes[kind]
        if not self.sampler.shuffle:
            return np.arange(size)
        return np.random.default_rng((self.sampler.seed, kind, turn)).permutation(size)

    def _index(self, kind: int, position: int) -> int:
        """Index into the whole dataset of the ``position``-th sample of a kind since training began."""
        turn, place = divmod(position, self.sizes[kind])
        return sum(self.sizes[:kind]) + int(self._order(kind, turn)[place])

    def __iter__(self) -> Iterator[list[int]]:
        """This rank's batches of the sampler's epoch."""
        rank, world_size = self.sampler.rank, self.sampler.world_size
        first_step = self.sampler.epoch * self.num_batches
        for step in range(first_step, first_step + self.num_batches):
            cycles, place = divmod(step, len(self.cycle))
            kind = self.cycle[place]
            batches_before = cycles * self.ratio[kind] + self.cycle[:place].count(kind)
            start = batches_before * self.batch_size * world_size + rank
            yield [self._index(kind, start + world_size * number) for number in range(self.batch_size)]

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self.num_batches
