# Copyright (c) mmdefusion authors. All rights reserved.
"""High-level interfaces."""

from .fusion_inferencer import FusionInferencer
from .pairs import Pair, resolve_pairs
from .results import FailedPair, FusedPair

__all__ = ['FailedPair', 'FusedPair', 'FusionInferencer', 'Pair', 'resolve_pairs']
