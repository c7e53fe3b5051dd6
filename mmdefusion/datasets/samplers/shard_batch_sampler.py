# Copyright (c) mmdefusion authors. All rights reserved.
"""Batches of places in shards."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.dataset import DefaultSampler
from torch.utils.data import Sampler

from mmdefusion.registry import DATA_SAMPLERS

from ..packed import ShardSlot
from ..shard_dataset import ShardDataset


@DATA_SAMPLERS.register_module()
class ShardBatchSampler(Sampler[list[ShardSlot]]):
    """Batches for ``ShardDataset``, such that every shard is read once an epoch and from end to end.

    .. code-block:: python

        train_dataloader = dict(
            batch_size=16,
            num_workers=4,
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_sampler=dict(type='ShardBatchSampler', num_streams=4),
            dataset=dict(type='ShardDataset', data_root='data/photos-shards/', pipeline=train_pipeline),
        )

    In each epoch the shards come in a new order. Their samples, in this order, are dealt out to the processes in equal
    parts, and each part is cut into ``num_streams`` streams; batch i of a process comes from stream i modulo
    ``num_streams``, through the dataset's shuffle buffer. Loaders give batch i to worker i modulo ``num_workers``: so
    with as many workers as streams, or a number that divides it, each stream has one worker, and no shard is read
    twice, but for those that a border between two streams cuts.

    Which samples batch i of epoch e holds is a function of (seed, e, i), the number of processes, the batch size, and
    ``num_streams``, but not of the number of workers.

    An epoch goes through all samples once; those that do not fill a last batch of all processes are left out, others
    in each epoch.

    Args:
        sampler: A ``DefaultSampler`` over a ``ShardDataset``; gives seed, epoch, rank, and whether to shuffle.
        batch_size: Samples in a batch of one process.
        num_streams: Streams of a process; the number of workers should divide it. Each has a shuffle buffer.
        infinite: Whether the next epoch follows without an end: for ``IterBasedTrainLoop``, whose workers are
            otherwise started anew each time.

    Raises:
        TypeError: If the sampler or its dataset is of another type.
        ValueError: If there are too few samples for one batch, or a number is out of range.
    """

    def __init__(self, sampler: DefaultSampler, batch_size: int, num_streams: int = 4, infinite: bool = False) -> None:
        if not isinstance(sampler, DefaultSampler) or not isinstance(sampler.dataset, ShardDataset):
            raise TypeError(
                'ShardBatchSampler needs a DefaultSampler over a ShardDataset, found '
                f'{type(sampler).__name__} over {type(getattr(sampler, "dataset", None)).__name__}'
            )
        if min(batch_size, num_streams) < 1:
            raise ValueError(f'expected batch_size and num_streams from 1, found {batch_size} and {num_streams}')
        self.sampler = sampler
        self.batch_size = batch_size
        self.num_streams = num_streams
        self.infinite = infinite
        self.num_batches = len(sampler.dataset) // (batch_size * sampler.world_size)
        if not self.num_batches:
            raise ValueError(
                f'{sampler.dataset.ann_file}: {len(sampler.dataset)} samples; expected at least one batch, '
                f'{batch_size} for each of {sampler.world_size} processes'
            )

    def _streams(self, epoch: int) -> list[ShardSlot]:
        """The first place of each stream of this process."""
        begin = self.sampler.rank * self.num_batches * self.batch_size
        streams = []
        for number in range(self.num_streams):
            # Batches number, number + num_streams, ... below num_batches.
            length = len(range(number, self.num_batches, self.num_streams)) * self.batch_size
            streams.append(ShardSlot(self.sampler.seed, epoch, self.sampler.shuffle, begin, begin + length, 0))
            begin += length
        return streams

    def __iter__(self) -> Iterator[list[ShardSlot]]:
        """This process's batches of the sampler's epoch and, if infinite, of the next ones."""
        epoch = self.sampler.epoch
        while True:
            streams = self._streams(epoch)
            for batch in range(self.num_batches):
                turn, number = divmod(batch, self.num_streams)
                first = turn * self.batch_size
                yield [streams[number]._replace(position=first + place) for place in range(self.batch_size)]
            if not self.infinite:
                return
            epoch += 1

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self.num_batches
