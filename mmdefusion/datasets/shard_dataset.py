# Copyright (c) mmdefusion authors. All rights reserved.
"""Photos or pairs in tar shards, streamed."""

from __future__ import annotations

import logging
import os

import torch
from mmengine import fileio
from mmengine.logging import print_log
from torch.utils.data import get_worker_info

from mmdefusion.registry import DATASETS

from .base_dataset import SeededDataset, local_seed
from .packed import (
    INDEX_NAME,
    ROLES,
    CorruptedSampleError,
    MemberPipeline,
    RawSample,
    ShardIndex,
    ShardSlot,
    ShardStream,
)

MAX_WORKERS = 256
PLACEHOLDER = '{shard}'


@DATASETS.register_module()
class ShardDataset(SeededDataset):
    """Photos or pairs in tar shards, which are streamed: each is read from end to end, never sought in.

    ``tools/dataset_converters/pack_shards.py`` makes shards and their index:

    .. code-block:: none

        data_root
        ├── index.json           the shards' names, sizes and counts
        ├── shard-000000.tar     NAME.jpg, or NAME.img.jpg and NAME.partner.png, for each sample
        └── shard-000001.tar

    For training, ``ShardBatchSampler`` shuffles the shards, deals them out to processes and workers, and says where to
    go on. Other samplers work too, but a jump back reads its shard anew from the beginning: take them for validation in
    order. Pipelines are those of folders: ``img_path``, ``partner_path`` and ``gt_path`` hold addresses
    (``shard://data_root/shard-000000.tar/NAME.jpg``) that ``LoadImageFromFile``, ``LoadPairedImage`` and
    ``LoadFusionTruth`` read.

    A sample's augmentation is a function of (seed, epoch, index), with the sampler's seed and epoch.

    With ``ShardBatchSampler``, a sample that cannot be read is reported by shard and member, and the next one that can,
    augmented anew, takes its place; asked for by its index, it is an error at once.

    Args:
        data_root: Folder of the index and, without ``shard_url``, of the shards.
        ann_file: The index, relative to ``data_root``.
        shard_url: Where shards are if not beside the index: a URL with ``{shard}`` in place of the name, as
            ``webdataset.gopen`` opens it, ``'https://host/photos/{shard}'`` or
            ``'pipe:aws s3 cp s3://photos/{shard} -'``.
        shuffle_buffer: Samples that each stream mixes, kept in memory as compressed files.
        max_corrupted: So many samples an epoch and process may be unreadable; one more is an error.
        **kwargs: Arguments of :class:`SeededDataset`; ``indices``, ``data_prefix`` and ``filter_cfg`` have no meaning.

    Raises:
        FileNotFoundError: The index or shards are missing.
        ValueError: The index is not one, or a setting is out of range.
    """

    METAINFO = dict(dataset_type='shards', task_name='pretraining')

    def __init__(
        self,
        data_root: str,
        ann_file: str = INDEX_NAME,
        shard_url: str | None = None,
        shuffle_buffer: int = 1000,
        max_corrupted: int = 100,
        **kwargs,
    ) -> None:
        ignored = sorted({'indices', 'data_prefix', 'filter_cfg'} & kwargs.keys())
        if ignored:
            raise ValueError(f'ShardDataset: {ignored} have no meaning for shards; choose what to pack instead')
        if shard_url is not None and shard_url.count(PLACEHOLDER) != 1:
            raise ValueError(f'shard_url must contain {PLACEHOLDER} once, found {shard_url!r}')
        if shuffle_buffer < 1 or max_corrupted < 0:
            raise ValueError(
                f'expected shuffle_buffer from 1 and max_corrupted from 0, found {shuffle_buffer} and {max_corrupted}'
            )
        self.shard_url = shard_url
        self.shuffle_buffer = shuffle_buffer
        self.max_corrupted = max_corrupted
        # Shared memory, a row for each worker: the epoch, and how many of its samples could not be read.
        self._corrupted = torch.full((MAX_WORKERS + 1, 2), -1, dtype=torch.int64).share_memory_()
        self._streams: dict[ShardSlot, ShardStream] = {}
        self._process: int | None = None
        super().__init__(data_root=data_root, ann_file=ann_file, **kwargs)
        self.pipeline = MemberPipeline(self.pipeline)

    def full_init(self) -> None:
        """Reads the index and looks for the shards."""
        if self._fully_initialized:
            return
        self.index = ShardIndex.load(self.ann_file)
        template = self.shard_url or fileio.join_path(os.path.dirname(self.ann_file), PLACEHOLDER)
        self.urls = [template.replace(PLACEHOLDER, shard.name) for shard in self.index.shards]
        if self.shard_url is None:
            self._check_files()
        self._size = sum(shard.samples for shard in self.index.shards)
        self._fully_initialized = True

    def _check_files(self) -> None:
        missing = [url for url in self.urls if not os.path.isfile(url)]
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of the {len(self.urls)} shards of {self.ann_file} do not exist, the first ones: '
                f'{missing[:5]}; expected them beside the index, or shard_url to say where they are'
            )
        for url, shard in zip(self.urls, self.index.shards, strict=True):
            size = os.path.getsize(url)
            if size != shard.bytes:
                print_log(
                    f'{url}: {size} bytes; expected {shard.bytes}, as {self.ann_file} says',
                    logger='current',
                    level=logging.WARNING,
                )

    def __len__(self) -> int:
        """Number of samples in all shards."""
        self.full_init()
        return self._size

    def __getitem__(self, index: int | ShardSlot) -> dict:
        """One sample.

        Args:
            index: A place from ``ShardBatchSampler``, or a plain index.

        Returns:
            The result of the pipeline.

        Raises:
            CorruptedSampleError: More samples of an epoch than allowed cannot be read; or this one, if asked for by its
                index.
        """
        self.full_init()
        if not isinstance(index, ShardSlot):
            return self.prepare_data(index)
        # No place is visited twice, so there is nothing to count.
        return {} if self._counting_only else self._prepare_slot(index)

    def get_data_info(self, idx: int) -> dict:
        """The record of sample ``idx``, with the contents of its files.

        Raises:
            IndexError: There is no such sample.
            CorruptedSampleError: It cannot be read.
        """
        if not 0 <= idx < len(self):
            raise IndexError(f'{self.ann_file}: {len(self)} samples; there is none with the index {idx}')
        slot = ShardSlot(0, 0, False, 0, self._size, idx)
        index, sample = self._stream_at(slot).read(slot.position)
        if isinstance(sample, RawSample):
            sample.check(self.index.members)
            return self._make_info(index, sample)
        raise sample

    def _make_info(self, index: int, sample: RawSample) -> dict:
        info = {ROLES[role]: path for role, path in sample.paths.items()}
        info.update(name=sample.key, sample_idx=index, members=sample.members)
        return info if self.kind is None else {**info, 'kind': self.kind}

    def _stream_at(self, slot: ShardSlot) -> ShardStream:
        """The open stream of a place, which has not passed it."""
        if self._process != os.getpid():
            # Files that a parent process opened share their positions with it.
            self._streams, self._process = {}, os.getpid()
        stream = self._streams.get(slot.stream)
        if stream is None or not stream.can_read(slot.position):
            # Streams of earlier epochs are done with.
            self._streams = {
                key: value for key, value in self._streams.items() if (key.seed, key.epoch) == (slot.seed, slot.epoch)
            }
            stream = self._streams[slot.stream] = self._open(slot)
        return stream

    def _open(self, slot: ShardSlot) -> ShardStream:
        return ShardStream(self.index, self.urls, slot, self.shuffle_buffer)

    def _prepare_slot(self, slot: ShardSlot) -> dict:
        """The sample of a place; if it cannot be read, the next one that can.

        Which one that is depends on the place alone, so that training which goes on here later finds the same.
        """
        stream = self._stream_at(slot)
        index, sample = stream.read(slot.position)
        result, error = self._try(slot, index, sample)
        if error is None:
            return result
        self._report(slot.epoch, index, error)
        for position in range(slot.position + 1, slot.end - slot.begin):
            result, found = self._try(slot, index, stream.peek(position)[1])
            if found is None:
                return result
        for position in reversed(range(slot.position)):
            result, found = self._try(slot, index, self._open(slot).read(position)[1])
            if found is None:
                return result
        raise error

    def _try(
        self, slot: ShardSlot, index: int, sample: RawSample | CorruptedSampleError
    ) -> tuple[dict | None, CorruptedSampleError | None]:
        """Runs the pipeline, with the random stream of sample ``index``; else gives what is wrong with the sample."""
        if not isinstance(sample, RawSample):
            return None, sample
        try:
            sample.check(self.index.members)
            with local_seed(*((0, 0) if self.test_mode else (slot.seed, slot.epoch)), index):
                return self.pipeline(self._make_info(index, sample)), None
        except CorruptedSampleError as error:
            return None, error
        except Exception:
            # Is it the files? If not, it is the pipeline, which is not to be passed over.
            try:
                sample.check(self.index.members, thorough=True)
            except CorruptedSampleError as error:
                return None, error
            raise

    def _report(self, epoch: int, index: int, error: CorruptedSampleError) -> None:
        worker = get_worker_info()
        row = self._corrupted[worker.id + 1 if worker else 0]
        if row[0] != epoch:
            row.copy_(torch.tensor([epoch, 0]))
        row[1] += 1
        count = int(self._corrupted[self._corrupted[:, 0] == epoch, 1].sum())
        message = f'sample {index} in {self.urls[self._shard_of(index)]}: {error}'
        if count > self.max_corrupted:
            raise CorruptedSampleError(
                f'{count} samples of epoch {epoch + 1} could not be read, allowed are max_corrupted='
                f'{self.max_corrupted}; the last one is {message}'
            ) from error
        print_log(
            f'{message}; skipped, {count} of at most {self.max_corrupted} in this epoch',
            logger='current',
            level=logging.WARNING,
        )

    def _shard_of(self, index: int) -> int:
        """Number of the shard that holds a sample."""
        for number, shard in enumerate(self.index.shards):
            index -= shard.samples
            if index < 0:
                return number
        raise IndexError(index)
