# Copyright (c) mmdefusion authors. All rights reserved.
"""Necks: decoders of pretraining, and the feature pyramid of detectors and segmentors."""

from .defusion_decoder import Decomposition, DeFusionDecoder
from .detail_decoder import DetailDecoder
from .fused_feature_pyramid import FusedFeaturePyramid
from .mae_decoder import MAEDecoder
from .simmim_decoder import SimMIMDecoder

__all__ = ['DeFusionDecoder', 'Decomposition', 'DetailDecoder', 'FusedFeaturePyramid', 'MAEDecoder', 'SimMIMDecoder']
