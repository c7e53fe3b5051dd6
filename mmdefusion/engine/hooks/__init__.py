# Copyright (c) mmdefusion authors. All rights reserved.
"""Hooks."""

from .atomic_checkpoint_hook import AtomicCheckpointHook
from .compile_hook import CompileHook
from .ema_hook import EMAHook
from .freeze_backbone_hook import FreezeBackboneHook
from .fusion_output_hook import FusionOutputHook
from .fusion_visualization_hook import FusionVisualizationHook
from .fusion_weights_hook import FusionWeightsHook
from .invalid_loss_hook import StopOnInvalidLossHook
from .reproducible_run_hook import ReproducibleRunHook

__all__ = [
    'AtomicCheckpointHook',
    'CompileHook',
    'EMAHook',
    'FreezeBackboneHook',
    'FusionOutputHook',
    'FusionVisualizationHook',
    'FusionWeightsHook',
    'ReproducibleRunHook',
    'StopOnInvalidLossHook',
]
