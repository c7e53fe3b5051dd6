# Copyright (c) mmdefusion authors. All rights reserved.
"""Training machinery on top of MMEngine: hooks, loops, optimizer wrappers and strategies."""

from .hooks import (
    AtomicCheckpointHook,
    CompileHook,
    EMAHook,
    FreezeBackboneHook,
    FusionOutputHook,
    FusionVisualizationHook,
    FusionWeightsHook,
    ReproducibleRunHook,
    StopOnInvalidLossHook,
)
from .loops import AutocastTestLoop, AutocastValLoop, ResumableTrainLoop
from .optimizers import AutocastOptimWrapper, DeepSpeedOptimWrapper, LayerDecayOptimWrapperConstructor
from .strategies import FullyShardStrategy

__all__ = [
    'AtomicCheckpointHook',
    'AutocastOptimWrapper',
    'AutocastTestLoop',
    'AutocastValLoop',
    'CompileHook',
    'DeepSpeedOptimWrapper',
    'EMAHook',
    'FreezeBackboneHook',
    'FusionOutputHook',
    'FusionVisualizationHook',
    'FusionWeightsHook',
    'FullyShardStrategy',
    'LayerDecayOptimWrapperConstructor',
    'ReproducibleRunHook',
    'ResumableTrainLoop',
    'StopOnInvalidLossHook',
]
