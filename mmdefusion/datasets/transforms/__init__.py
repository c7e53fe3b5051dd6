# Copyright (c) mmdefusion authors. All rights reserved.
"""Pipeline transforms."""

from .cud import RandomCUDMasks
from .formatting import PackFusionInputs
from .loading import LoadPairedImage
from .processing import PhotometricJitter, RandomResizedCrop

__all__ = ['LoadPairedImage', 'PackFusionInputs', 'PhotometricJitter', 'RandomCUDMasks', 'RandomResizedCrop']
