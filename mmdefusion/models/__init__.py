# Copyright (c) mmdefusion authors. All rights reserved.
"""Models: backbone, neck, head and target generator, and the algorithm that joins them."""

from .algorithms import ClassicalFusion, DeFusionPP, FusionTTAModel
from .backbones import DeFusionViT
from .data_preprocessors import FusionDataPreprocessor
from .heads import DeFusionHead
from .inference_wrapper import InferenceModelWrapper
from .necks import DeFusionDecoder
from .target_generators import CUDTargetGenerator

__all__ = [
    'CUDTargetGenerator',
    'ClassicalFusion',
    'DeFusionDecoder',
    'DeFusionHead',
    'DeFusionPP',
    'DeFusionViT',
    'FusionDataPreprocessor',
    'FusionTTAModel',
    'InferenceModelWrapper',
]
