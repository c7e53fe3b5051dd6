# Copyright (c) mmdefusion authors. All rights reserved.
"""Models: backbone, neck, head and target generator, and the algorithm that joins them."""

from .algorithms import MAE, ClassicalFusion, DeFusionPP, FusionTTAModel, SimMIM
from .backbones import DeFusionViT, MAEViT
from .data_preprocessors import FusionDataPreprocessor, PairedDetDataPreprocessor, PairedSegDataPreProcessor
from .heads import DeFusionHead, FusionHead, MAEHead, MCUDHead
from .inference_wrapper import InferenceModelWrapper
from .necks import DeFusionDecoder, FusedFeaturePyramid, MAEDecoder, SimMIMDecoder
from .target_generators import CUDTargetGenerator, FrozenEncoder

__all__ = [
    'CUDTargetGenerator',
    'ClassicalFusion',
    'DeFusionDecoder',
    'DeFusionHead',
    'DeFusionPP',
    'DeFusionViT',
    'FrozenEncoder',
    'FusedFeaturePyramid',
    'FusionDataPreprocessor',
    'FusionHead',
    'FusionTTAModel',
    'InferenceModelWrapper',
    'MAE',
    'MAEDecoder',
    'MAEHead',
    'MAEViT',
    'MCUDHead',
    'PairedDetDataPreprocessor',
    'PairedSegDataPreProcessor',
    'SimMIM',
    'SimMIMDecoder',
]
