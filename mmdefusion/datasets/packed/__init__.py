# Copyright (c) mmdefusion authors. All rights reserved.
"""Samples that are packed into few large files: tar shards and LMDB."""

from .addresses import LMDB_SCHEME, SHARD_SCHEME, MemberPipeline, lmdb_address, shard_address
from .index import INDEX_NAME, ROLES, LmdbIndex, Shard, ShardIndex, member_role
from .order import ShardSlot, epoch_order
from .stream import CorruptedSampleError, RawSample, ShardStream

__all__ = [
    'CorruptedSampleError',
    'INDEX_NAME',
    'LMDB_SCHEME',
    'LmdbIndex',
    'MemberPipeline',
    'ROLES',
    'RawSample',
    'SHARD_SCHEME',
    'Shard',
    'ShardIndex',
    'ShardSlot',
    'ShardStream',
    'epoch_order',
    'lmdb_address',
    'member_role',
    'shard_address',
]
