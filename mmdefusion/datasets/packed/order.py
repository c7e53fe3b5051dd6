# Copyright (c) mmdefusion authors. All rights reserved.
"""The order in which shards are read: a function of seed, epoch and place, so that training can go on anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class ShardSlot(NamedTuple):
    """One place in an epoch; which sample stands there is a function of this alone.

    An epoch's samples, shard after shard, are cut into streams, each read from end to end by one worker.

    Attributes:
        seed: Seed of the run.
        epoch: The epoch.
        shuffle: Whether shards and samples are shuffled.
        begin: Where the stream begins in the epoch's order.
        end: Where it ends.
        position: Place in the stream, from 0.
    """

    seed: int
    epoch: int
    shuffle: bool
    begin: int
    end: int
    position: int

    @property
    def stream(self) -> ShardSlot:
        """The first place of the stream, which names it."""
        return self._replace(position=0)


class EpochOrder(NamedTuple):
    """The samples of an epoch, shard after shard.

    Attributes:
        shards: Number of each shard, in the order of reading.
        ends: Where each of these ends, counted in samples.
        first: Index of the first sample of each shard, by its number.
    """

    shards: np.ndarray
    ends: np.ndarray
    first: np.ndarray

    def locate(self, place: int) -> tuple[int, int]:
        """Number of the shard, and of the sample in it, at a place of the epoch."""
        turn = int(np.searchsorted(self.ends, place, side='right'))
        start = int(self.ends[turn - 1]) if turn else 0
        return int(self.shards[turn]), place - start

    def index(self, place: int) -> int:
        """Index of the sample at a place of the epoch, which stays the same in every epoch."""
        shard, number = self.locate(place)
        return int(self.first[shard]) + number


def epoch_order(sizes: Sequence[int], seed: int, epoch: int, shuffle: bool) -> EpochOrder:
    """The order of the shards in an epoch.

    Args:
        sizes: Samples in each shard.
        seed: Seed of the run.
        epoch: The epoch.
        shuffle: Whether the shards come in a random order, or in their own.
    """
    sizes = np.asarray(sizes)
    shards = np.random.default_rng((seed, epoch)).permutation(len(sizes)) if shuffle else np.arange(len(sizes))
    return EpochOrder(shards, np.cumsum(sizes[shards]), np.cumsum(sizes) - sizes)


class BufferedShuffle:
    """Shuffles the numbers 0, 1, ..., ``length - 1`` as a buffer would through which they stream.

    Each output is drawn from the buffer, and the next number takes its place. Numbers alone are cheap: where training
    goes on in the middle, the outputs before are drawn again, without reading a file.

    Args:
        length: How many numbers.
        size: Places in the buffer, at least 1; with 1 the order stays as it is.
        keys: Seeds of the draws.
    """

    DRAWS = 4096

    def __init__(self, length: int, size: int, keys: Sequence[int]) -> None:
        self.length = length
        self.buffer = list(range(min(size, length)))
        self.entered = len(self.buffer)
        self._rng = np.random.default_rng(keys)
        self._draws: list[float] = []

    def draw(self) -> int:
        """The next output."""
        if not self._draws:
            self._draws = self._rng.random(self.DRAWS).tolist()
        place = int(self._draws.pop() * len(self.buffer))
        number = self.buffer[place]
        if self.entered < self.length:
            self.buffer[place] = self.entered
            self.entered += 1
        else:
            last = self.buffer.pop()
            if place < len(self.buffer):
                self.buffer[place] = last
        return number
