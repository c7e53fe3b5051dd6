# Copyright (c) mmdefusion authors. All rights reserved.
"""Datasets and transforms."""

from .base_dataset import SeededDataset
from .paired_image import PairedImageDataset
from .sample_pair_dataset import SamplePairDataset
from .samplers import AlternatingBatchSampler
from .single_image import ImageFolderDataset
from .transforms import *  # noqa: F403

__all__ = [
    'AlternatingBatchSampler',
    'ImageFolderDataset',
    'PairedImageDataset',
    'SamplePairDataset',
    'SeededDataset',
]
