# Copyright (c) mmdefusion authors. All rights reserved.
"""Addresses of images inside shards and LMDB, which MMEngine's file functions, and so all loading transforms, read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from mmcv.transforms import Compose
from mmengine.fileio import BaseStorageBackend, register_backend
from mmengine.fileio.backends import LmdbBackend

SHARD_SCHEME = 'shard'
LMDB_SCHEME = 'lmdb'
LMDB_SUFFIX = '.lmdb'

# What is open where no shard's sample is being prepared: nothing.
_MEMBERS: ContextVar[Mapping[str, bytes] | None] = ContextVar('members', default=None)


def shard_address(url: str, member: str) -> str:
    """The address of a tar's member, for example ``shard://data/photos-000000.tar/000009.jpg``.

    Args:
        url: Path or URL of the tar; MMEngine allows one ``://`` in an address, so a second one loses its slashes.
        member: Name of the member.
    """
    return f'{SHARD_SCHEME}://{url.replace("://", ":")}/{member}'


def lmdb_address(database: str, key: str) -> str:
    """The address of a record, for example ``lmdb://data/photos.lmdb/000009.jpg``.

    Args:
        database: Folder of the LMDB; its name ends with ``.lmdb``.
        key: Key of the record.
    """
    return f'{LMDB_SCHEME}://{database}/{key}'


@contextmanager
def open_members(members: Mapping[str, bytes]) -> Iterator[None]:
    """Lets ``mmengine.fileio.get`` read these members inside the block.

    Args:
        members: Contents by address.
    """
    token = _MEMBERS.set(members)
    try:
        yield
    finally:
        _MEMBERS.reset(token)


class ShardMemberBackend(BaseStorageBackend):
    """Reads addresses of members of shards, which are in memory while their sample is prepared."""

    def get(self, filepath: str) -> bytes:
        """The content of a member.

        Raises:
            FileNotFoundError: The sample has no such member, or is not being prepared.
        """
        members = _MEMBERS.get()
        if members is None or str(filepath) not in members:
            found = 'none are' if members is None else f'open are {sorted(members)}'
            raise FileNotFoundError(
                f'{filepath}: this member of a shard is not open, {found}; shards are read from end to end, and a '
                "sample's members can be read by the transforms of its own dataset only"
            )
        return members[str(filepath)]

    def get_text(self, filepath: str, encoding: str = 'utf-8') -> str:
        """The content of a member as text."""
        return self.get(filepath).decode(encoding)


class LmdbAddressBackend(BaseStorageBackend):
    """Reads addresses of records of LMDB by MMEngine's ``LmdbBackend``; a database is opened at its first record."""

    def __init__(self) -> None:
        self._databases: dict[str, LmdbBackend] = {}

    def get(self, filepath: str) -> bytes:
        """The content of a record.

        Raises:
            ImportError: lmdb is not installed.
            FileNotFoundError: There is no such database or record.
        """
        head, found, key = str(filepath).partition('://')[2].partition(f'{LMDB_SUFFIX}/')
        database = head + found.rstrip('/')
        if database not in self._databases:
            self._databases[database] = LmdbBackend(database)
        try:
            content = self._databases[database].get(key)
        except ImportError:
            raise
        except Exception as error:
            raise FileNotFoundError(f'{filepath}: the database {database} cannot be read ({error})') from error
        if content is None:
            raise FileNotFoundError(f'{filepath}: the database {database} has no record {key!r}')
        return content

    def get_text(self, filepath: str, encoding: str = 'utf-8') -> str:
        """The content of a record as text."""
        return self.get(filepath).decode(encoding)


# Forced, so that a reload of this module does not fail.
register_backend('mmdefusion-shard', ShardMemberBackend, prefixes=SHARD_SCHEME, force=True)
register_backend('mmdefusion-lmdb', LmdbAddressBackend, prefixes=LMDB_SCHEME, force=True)


class MemberPipeline:
    """A pipeline for samples that bring the contents of their files along.

    Args:
        pipeline: The transforms; they see the sample without ``members``, and read its files by their addresses.
    """

    def __init__(self, pipeline: Compose) -> None:
        self.pipeline = pipeline
        self.transforms = pipeline.transforms

    def __call__(self, results: dict) -> dict | None:
        """Runs the transforms.

        Args:
            results: A sample with ``members``, contents by address.
        """
        results = dict(results)
        with open_members(results.pop('members')):
            return self.pipeline(results)

    def __repr__(self) -> str:
        return repr(self.pipeline)
