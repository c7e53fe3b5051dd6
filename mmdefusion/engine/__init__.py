# Copyright (c) mmdefusion authors. All rights reserved.
"""Training machinery on top of MMEngine: hooks and optimizer wrappers."""

from .hooks import FusionOutputHook, FusionVisualizationHook, ReproducibleRunHook
from .optimizers import AutocastOptimWrapper, LayerDecayOptimWrapperConstructor

__all__ = [
    'AutocastOptimWrapper',
    'FusionOutputHook',
    'FusionVisualizationHook',
    'LayerDecayOptimWrapperConstructor',
    'ReproducibleRunHook',
]
