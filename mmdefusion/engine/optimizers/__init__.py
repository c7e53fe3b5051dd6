# Copyright (c) mmdefusion authors. All rights reserved.
"""Optimizer wrappers and their constructors."""

from .autocast_optim_wrapper import AutocastOptimWrapper, autocast_dtype
from .deepspeed_optim_wrapper import DeepSpeedOptimWrapper
from .layer_decay_optim_wrapper_constructor import LayerDecayOptimWrapperConstructor

__all__ = ['AutocastOptimWrapper', 'DeepSpeedOptimWrapper', 'LayerDecayOptimWrapperConstructor', 'autocast_dtype']
