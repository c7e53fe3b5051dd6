# Copyright (c) mmdefusion authors. All rights reserved.
"""Pipeline transforms."""

from .cud import RandomCUDMasks
from .formatting import PackFusionInputs
from .loading import LoadFusionTruth, LoadPairedImage
from .pair_results import PairResults
from .processing import PhotometricJitter, RandomInvert, RandomResizedCrop, SourcesToLuma
from .synthesis import RandomMultiExposurePair, RandomMultiFocusPair
from .wrappers import ApplyToSource

__all__ = [
    'ApplyToSource',
    'LoadFusionTruth',
    'LoadPairedImage',
    'PackFusionInputs',
    'PairResults',
    'PhotometricJitter',
    'RandomCUDMasks',
    'RandomMultiExposurePair',
    'RandomMultiFocusPair',
    'RandomInvert',
    'RandomResizedCrop',
    'SourcesToLuma',
]
