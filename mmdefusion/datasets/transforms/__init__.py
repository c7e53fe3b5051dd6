# Copyright (c) mmdefusion authors. All rights reserved.
"""Pipeline transforms."""

from .cud import RandomCUDMasks
from .formatting import PackFusionInputs
from .loading import LoadFusionTruth, LoadPairedImage
from .processing import PhotometricJitter, RandomResizedCrop, SourcesToLuma
from .synthesis import RandomMultiExposurePair, RandomMultiFocusPair

__all__ = [
    'LoadFusionTruth',
    'LoadPairedImage',
    'PackFusionInputs',
    'PhotometricJitter',
    'RandomCUDMasks',
    'RandomMultiExposurePair',
    'RandomMultiFocusPair',
    'RandomResizedCrop',
    'SourcesToLuma',
]
