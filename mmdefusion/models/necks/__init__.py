# Copyright (c) mmdefusion authors. All rights reserved.
"""Necks: decoders of pretraining."""

from .defusion_decoder import Decomposition, DeFusionDecoder

__all__ = ['DeFusionDecoder', 'Decomposition']
