# Copyright (c) mmdefusion authors. All rights reserved.
"""Datasets and transforms."""

from .base_dataset import SeededDataset
from .lmdb_dataset import LmdbDataset
from .paired_image import PairedImageDataset
from .sample_pair_dataset import SamplePairDataset
from .samplers import AlternatingBatchSampler, ShardBatchSampler
from .shard_dataset import ShardDataset
from .single_image import ImageFolderDataset
from .transforms import *  # noqa: F403

__all__ = [
    'AlternatingBatchSampler',
    'ImageFolderDataset',
    'LmdbDataset',
    'PairedImageDataset',
    'SamplePairDataset',
    'SeededDataset',
    'ShardBatchSampler',
    'ShardDataset',
]
