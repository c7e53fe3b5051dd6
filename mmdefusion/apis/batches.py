# Copyright (c) mmdefusion authors. All rights reserved.
"""Batches of pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mmdefusion.utils.image_io import ImageReadError

from .pairs import LoadedPair, Pair
from .results import FailedPair


def load_batches(
    pairs: Iterable[Pair], batch_size: Callable[[LoadedPair], int], load: Callable[[Pair], LoadedPair]
) -> Iterator[list[LoadedPair] | FailedPair]:
    """Read pairs and collect neighbours of one size and depth.

    Args:
        pairs: The pairs.
        batch_size: Gives the largest batch of pairs of the size and depth of one.
        load: Reads a pair.

    Yields:
        Batches, and pairs that cannot be used.
    """
    batch: list[LoadedPair] = []
    for pair in pairs:
        try:
            loaded = load(pair)
        except ImageReadError as error:
            yield FailedPair(pair.name, str(error))
            continue
        if batch and (batch[0].bgr1.shape, batch[0].depth) != (loaded.bgr1.shape, loaded.depth):
            yield batch
            batch = []
        batch.append(loaded)
        if len(batch) >= batch_size(loaded):
            yield batch
            batch = []
    if batch:
        yield batch
