# Copyright (c) mmdefusion authors. All rights reserved.
"""Training machinery on top of MMEngine: hooks and optimizer wrappers."""

from .hooks import FusionVisualizationHook, ReproducibleRunHook
from .optimizers import AutocastOptimWrapper

__all__ = ['AutocastOptimWrapper', 'FusionVisualizationHook', 'ReproducibleRunHook']
