# Copyright (c) mmdefusion authors. All rights reserved.
"""High-level interfaces."""

from .fusion_inferencer import FusionInferencer
from .pairs import Pair, resolve_pairs
from .results import FailedPair, FusedPair
from .video import FusedVideo, fuse_video

__all__ = ['FailedPair', 'FusedPair', 'FusedVideo', 'FusionInferencer', 'Pair', 'fuse_video', 'resolve_pairs']
