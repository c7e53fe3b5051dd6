# Copyright (c) mmdefusion authors. All rights reserved.
"""What lies in a set of shards or in an LMDB."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from mmengine import fileio

from mmdefusion.utils.image_io import IMAGE_SUFFIXES

INDEX_NAME = 'index.json'
VERSION = 1
#: What the images of a sample are, and the key of a result dict that holds each one's path.
ROLES = dict(img='img_path', partner='partner_path', gt='gt_path')

PLAIN_NAME = re.compile(r'[\w.-]+')


def member_role(suffixes: str) -> str | None:
    """What a member is by the part of its name after the first dot.

    Args:
        suffixes: For example ``jpg``, ``img.jpg`` or ``partner.png``.

    Returns:
        ``img``, ``partner`` or ``gt``; a suffix alone means ``img``; None is no image of ours.
    """
    role, dot, suffix = suffixes.partition('.')
    if f'.{suffix if dot else role}'.lower() not in IMAGE_SUFFIXES:
        return None
    if not dot:
        return 'img'
    return role if role in ROLES else None


class Shard(NamedTuple):
    """One tar.

    Attributes:
        name: Its file name.
        samples: Number of samples in it.
        bytes: Size of the file.
    """

    name: str
    samples: int
    bytes: int


class ShardIndex(NamedTuple):
    """A set of shards.

    Attributes:
        members: What each sample holds, of ``img``, ``partner``, ``gt``.
        shards: The tars.
    """

    members: tuple[str, ...]
    shards: tuple[Shard, ...]

    def to_json(self) -> dict:
        """What ``index.json`` holds."""
        return dict(
            format='mmdefusion-shards',
            version=VERSION,
            members=list(self.members),
            samples=sum(shard.samples for shard in self.shards),
            shards=[shard._asdict() for shard in self.shards],
        )

    @classmethod
    def load(cls, path: str) -> ShardIndex:
        """Reads and checks an index.

        Args:
            path: Path or any address that ``mmengine.fileio`` reads.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is not such an index; the message says where and what was expected.
        """
        content = _load(path, 'mmdefusion-shards')
        members = _members(content, path)
        shards = []
        for number, entry in enumerate(content.get('shards') or ()):
            name, samples, size = (entry.get(key) if isinstance(entry, dict) else None for key in Shard._fields)
            # Names are put into URLs, and into commands: they are nothing but names.
            if not isinstance(name, str) or not PLAIN_NAME.fullmatch(name):
                raise ValueError(f'{path}: shards[{number}].name is {name!r}; expected letters, digits, ".", "_", "-"')
            if not all(type(count) is int and count >= 1 for count in (samples, size)):
                raise ValueError(f'{path}: {name} has samples={samples!r}, bytes={size!r}; expected numbers from 1')
            shards.append(Shard(name, samples, size))
        if not shards or len({shard.name for shard in shards}) < len(shards):
            raise ValueError(f'{path}: {len(shards)} shards; expected at least one, each with a name of its own')
        return cls(members, tuple(shards))


class LmdbIndex(NamedTuple):
    """The records of an LMDB.

    Attributes:
        members: What each sample holds, of ``img``, ``partner``, ``gt``.
        samples: Keys of each sample's records, in the order of ``members``.
    """

    members: tuple[str, ...]
    samples: tuple[tuple[str, ...], ...]

    def to_json(self) -> dict:
        """What ``index.json`` holds."""
        samples = [list(keys) for keys in self.samples]
        return dict(format='mmdefusion-lmdb', version=VERSION, members=list(self.members), samples=samples)

    @classmethod
    def load(cls, path: str) -> LmdbIndex:
        """Reads and checks an index, see :meth:`ShardIndex.load`."""
        content = _load(path, 'mmdefusion-lmdb')
        members = _members(content, path)
        samples = content.get('samples')
        if not isinstance(samples, list) or not samples:
            raise ValueError(f'{path}: no samples; expected at least one')
        for number, keys in enumerate(samples):
            if not isinstance(keys, list) or len(keys) != len(members) or not all(isinstance(key, str) for key in keys):
                raise ValueError(f'{path}: samples[{number}] is {keys!r}; expected one key for each of {list(members)}')
        return cls(members, tuple(tuple(keys) for keys in samples))


def _load(path: str, expected: str) -> dict[str, Any]:
    try:
        text = fileio.get_text(path)
    except OSError as error:
        raise FileNotFoundError(
            f'{path}: cannot be opened ({error.strerror or error}); expected the index that '
            'tools/dataset_converters/pack_shards.py writes. Point elsewhere with '
            '--cfg-options train_dataloader.dataset.data_root=FOLDER'
        ) from error
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f'{path}: not JSON ({error}); expected an index of format {expected!r}') from error
    found = (content.get('format'), content.get('version')) if isinstance(content, dict) else None
    if found != (expected, VERSION):
        raise ValueError(f'{path}: format and version are {found}; expected {(expected, VERSION)}')
    return content


def _members(content: dict[str, Any], path: str) -> tuple[str, ...]:
    members = content.get('members')
    if not isinstance(members, list) or 'img' not in members or not set(members) <= set(ROLES):
        raise ValueError(f'{path}: members is {members!r}; expected "img" and, for pairs, some of {list(ROLES)[1:]}')
    return tuple(members)
