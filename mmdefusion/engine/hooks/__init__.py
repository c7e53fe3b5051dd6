# Copyright (c) mmdefusion authors. All rights reserved.
"""Hooks."""

from .fusion_output_hook import FusionOutputHook
from .fusion_visualization_hook import FusionVisualizationHook
from .reproducible_run_hook import ReproducibleRunHook

__all__ = ['FusionOutputHook', 'FusionVisualizationHook', 'ReproducibleRunHook']
