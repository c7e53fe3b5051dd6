# Copyright (c) mmdefusion authors. All rights reserved.
"""Samples of tar shards, read from end to end by the webdataset library."""

from __future__ import annotations

import io
import logging
import tarfile
from collections.abc import Iterator, Sequence
from itertools import islice
from types import ModuleType
from typing import NamedTuple

from mmengine.logging import print_log

from mmdefusion.utils.image_io import ImageReadError, read_image

from .addresses import open_members, shard_address
from .index import ROLES, ShardIndex, member_role
from .order import BufferedShuffle, ShardSlot, epoch_order

# What opening and reading of a tar, a pipe or a connection raise.
_READ_ERRORS = (OSError, EOFError, ValueError, tarfile.TarError)


class CorruptedSampleError(ValueError):
    """A sample that cannot be read: the message names shard and member, and what was found."""


class RawSample(NamedTuple):
    """A sample as it lies in its shard.

    Attributes:
        key: Its name in the shard.
        paths: Addresses of its images, by role.
        members: Contents by address.
    """

    key: str
    paths: dict[str, str]
    members: dict[str, bytes]

    def check(self, expected: Sequence[str], thorough: bool = False) -> None:
        """Looks for what is missing or broken.

        Args:
            expected: Roles of the images that a sample has.
            thorough: Decode every image, instead of only those whose last bytes are missing.

        Raises:
            CorruptedSampleError: Something is.
        """
        missing = [role for role in expected if role not in self.paths]
        if missing:
            raise CorruptedSampleError(f'has {sorted(self.members)}; expected also the members {missing}')
        with open_members(self.members):
            for path, content in self.members.items():
                if thorough or _looks_cut_off(content):
                    try:
                        read_image(path)
                    except ImageReadError as error:
                        raise CorruptedSampleError(str(error)) from error


def _looks_cut_off(content: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end, which decoders pass over in silence; some cameras put more behind it."""
    if content.startswith(b'\xff\xd8'):
        return b'\xff\xd9' not in content[-64:]
    return content.startswith(b'\x89PNG') and b'IEND' not in content[-64:]


def import_webdataset() -> ModuleType:
    """Imports the optional library.

    Raises:
        ImportError: It is not installed; with the command that installs it.
    """
    try:
        import webdataset
    except ImportError as error:
        raise ImportError(
            f'shards are read and written by the webdataset library, which cannot be imported ({error}): run '
            '`pip install -r requirements/data.txt` in the root of the mmdefusion repository, or '
            '`pip install webdataset`'
        ) from error
    return webdataset


def read_shard(url: str, roles: Sequence[str]) -> Iterator[RawSample]:
    """Reads a shard from end to end.

    Args:
        url: Path of a tar, or what ``webdataset.gopen`` opens.
        roles: Roles of the images that are wanted.

    Yields:
        Samples; files that are no images of these roles are left out.

    Raises:
        OSError, tarfile.TarError, ValueError: The tar cannot be opened, or is broken.
    """
    webdataset = import_webdataset()
    with webdataset.gopen(url, 'rb') as stream:
        # Tars are read in blocks of 10 KB; from a local file larger ones are faster.
        source = stream if isinstance(stream, io.IOBase) else _Reader(stream)
        files = webdataset.tariterators.tar_file_expander([dict(url=url, stream=source)])
        errors: list[Exception] = []
        for sample in webdataset.tariterators.group_by_keys(_until_broken(files, errors), lcase=False):
            paths, members = {}, {}
            for suffixes, content in sample.items():
                role = None if suffixes.startswith('__') else member_role(suffixes)
                if role in roles:
                    paths[role] = shard_address(url, f'{sample["__key__"]}.{suffixes}')
                    members[paths[role]] = content
            yield RawSample(sample['__key__'], paths, members)
        if errors:
            raise errors[0]


def _until_broken(files: Iterator[dict], errors: list[Exception]) -> Iterator[dict]:
    """The files before an error, which goes to ``errors``: so the last sample before it is not lost."""
    try:
        yield from files
    except _READ_ERRORS as error:
        errors.append(error)


class _Reader:
    """The reading side of webdataset's pipes, as the tar library wants it."""

    def __init__(self, pipe) -> None:
        self.pipe = pipe

    def read(self, size: int) -> bytes:
        """Reads ``size`` bytes, fewer only at the end."""
        return self.pipe.read(size)


class ShardStream:
    """The samples of one stream of an epoch, in the order of its places.

    Places are asked for in rising order. A shard is read once; what has been read and stands further on waits in
    memory, still compressed: never more samples than the shuffle buffer holds.

    Args:
        index: The shards.
        urls: Where each of them is.
        slot: Any place of the stream.
        shuffle_buffer: Samples that are mixed.
    """

    def __init__(self, index: ShardIndex, urls: Sequence[str], slot: ShardSlot, shuffle_buffer: int) -> None:
        self.index = index
        self.urls = urls
        self.begin = slot.begin
        self.order = epoch_order([shard.samples for shard in index.shards], slot.seed, slot.epoch, slot.shuffle)
        size = shuffle_buffer if slot.shuffle else 1
        self.shuffle = BufferedShuffle(slot.end - slot.begin, size, (slot.seed, slot.epoch, slot.begin))
        self.position = 0
        self._peeked: dict[int, tuple[int, RawSample | CorruptedSampleError]] = {}
        self._waiting: dict[int, RawSample | CorruptedSampleError] = {}
        self._cursor = 0
        self._unwanted: set[int] = set()
        self._shard: int | None = None
        self._samples: Iterator[RawSample | CorruptedSampleError] = iter(())
        self._next_number = 0

    def read(self, position: int) -> tuple[int, RawSample | CorruptedSampleError]:
        """The sample at a place.

        Args:
            position: Place in the stream, not before the last one that was read.

        Returns:
            The sample's index, and the sample, or what is wrong with it.
        """
        found = self.peek(position)
        self._peeked = {place: sample for place, sample in self._peeked.items() if place > position}
        return found

    def peek(self, position: int) -> tuple[int, RawSample | CorruptedSampleError]:
        """As :meth:`read`; the samples from the last one read to this one can still be read."""
        if position not in self._peeked:
            self._peeked[position] = self._take(position)
        return self._peeked[position]

    def can_read(self, position: int) -> bool:
        """Whether a place has not been passed yet."""
        return position >= self.position or position in self._peeked

    def _take(self, position: int) -> tuple[int, RawSample | CorruptedSampleError]:
        if position > self.position:
            self._skip(position - self.position)
        number = self.shuffle.draw()
        self.position += 1
        while number not in self._waiting:
            sample = self._read_at(self.begin + self._cursor)
            if self._cursor in self._unwanted:
                self._unwanted.remove(self._cursor)
            else:
                self._waiting[self._cursor] = sample
            self._cursor += 1
        return self.order.index(self.begin + number), self._waiting.pop(number)

    def _skip(self, count: int) -> None:
        """Leaves places out; shards all of whose samples stood there are not even opened."""
        for _ in range(count):
            self.shuffle.draw()
        self.position += count
        wanted = set(self.shuffle.buffer)
        self._waiting = {number: sample for number, sample in self._waiting.items() if number in wanted}
        pending = wanted - self._waiting.keys()
        self._cursor = max(self._cursor, min(pending, default=self.shuffle.entered))
        self._unwanted = set(range(self._cursor, self.shuffle.entered)) - wanted

    def _read_at(self, place: int) -> RawSample | CorruptedSampleError:
        shard, number = self.order.locate(place)
        if shard != self._shard or number < self._next_number:
            self._shard, self._next_number = shard, 0
            self._samples = self._read_whole_shard(shard)
        sample = next(islice(self._samples, number - self._next_number, None))
        self._next_number = number + 1
        return sample

    def _read_whole_shard(self, shard: int) -> Iterator[RawSample | CorruptedSampleError]:
        """As many samples as the index says: in place of those behind a broken part, what is wrong with it."""
        url, count = self.urls[shard], self.index.shards[shard].samples
        roles = [role for role in ROLES if role in self.index.members]
        number, last, reason = 0, 'before its first member', 'the tar ends there'
        try:
            for sample in islice(read_shard(url, roles), count):
                yield sample
                number, last = number + 1, f'after the sample {sample.key}'
        except _READ_ERRORS as error:
            reason = str(error.args[0] if error.args else error) or type(error).__name__
        if number == count:
            return
        error = CorruptedSampleError(
            f'{url}: broken {last} ({reason}); expected {count} samples, {count - number} cannot be read'
        )
        print_log(str(error), logger='current', level=logging.WARNING)
        yield from [error] * (count - number)
