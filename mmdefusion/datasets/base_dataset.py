# Copyright (c) mmdefusion authors. All rights reserved.
"""A dataset whose augmentations can be reproduced, also after a resume."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from torch.utils.data import get_worker_info


@contextmanager
def local_seed(*keys: int) -> Iterator[None]:
    """Seeds Python's and NumPy's generators from ``keys``, and puts their states back afterwards."""
    states = random.getstate(), np.random.get_state()
    words = np.random.SeedSequence(keys).generate_state(2)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


@contextmanager
def counting_visits() -> Iterator[None]:
    """Lets seeded datasets count the visits of samples without making them; they return empty dicts.

    So a run that goes on in the middle of an epoch passes by what it was trained on before.
    """
    SeededDataset._counting_only = True
    try:
        yield
    finally:
        SeededDataset._counting_only = False


class SeededDataset(BaseDataset):
    """Base of all datasets here: a sample's augmentation is a function of (seed, epoch, index) and of nothing else.

    MMEngine seeds its workers alike at the start of every epoch, so without persistent workers each epoch repeats the
    first one's augmentations, and with them a resumed run differs from one that was not interrupted. Here neither
    happens, with any number of workers. Transforms draw from Python's ``random`` or ``numpy.random`` as usual.

    Where one epoch visits a sample repeatedly (``RepeatDataset``, ``InfiniteSampler``), further visits by the same
    worker are augmented anew, a function of the worker and of how often it has seen the sample.

    ``ReproducibleRunHook`` sets seed and epoch of a training set; without it, and with ``test_mode=True``, both stay 0.

    Args:
        kind: What the samples are, for example ``'infrared_visible'``: samples carry it as ``kind``, so that losses can
            tell batches of several datasets apart; None leaves it out.
        **kwargs: Arguments of MMEngine's ``BaseDataset``.
    """

    _counting_only = False

    def __init__(self, kind: str | None = None, **kwargs) -> None:
        self.kind = kind
        # Shared memory: workers that outlive an epoch see the new one.
        self._stream = torch.zeros(2, dtype=torch.int64).share_memory_()
        self._visited_stream: list[int] = []
        self._visits: Counter[int] = Counter()
        super().__init__(**kwargs)

    def set_stream(self, seed: int, epoch: int) -> None:
        """Chooses the random stream of the coming samples."""
        if not self.test_mode:
            self._stream.copy_(torch.tensor([seed, epoch]))

    def get_data_info(self, idx: int) -> dict:
        """The record of sample ``idx``, with its kind where the dataset has one."""
        info = super().get_data_info(idx)
        return info if self.kind is None else {**info, 'kind': self.kind}

    def prepare_data(self, idx: int) -> dict:
        """Runs the pipeline on sample ``idx`` under its own random stream."""
        stream = self._stream.tolist()
        if stream != self._visited_stream or self.test_mode:
            self._visited_stream, self._visits = stream, Counter()
        worker = get_worker_info()
        visit = (self._visits[idx], worker.id if worker else 0) if self._visits[idx] else ()
        self._visits[idx] += 1
        if self._counting_only:
            return {}
        with local_seed(*stream, idx, *visit):
            return super().prepare_data(idx)
