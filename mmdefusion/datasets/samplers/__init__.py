# Copyright (c) mmdefusion authors. All rights reserved.
"""Samplers."""

from .alternating_batch_sampler import AlternatingBatchSampler
from .shard_batch_sampler import ShardBatchSampler

__all__ = ['AlternatingBatchSampler', 'ShardBatchSampler']
