# Copyright (c) mmdefusion authors. All rights reserved.
"""Loops of training, validation and testing."""

from .autocast_loops import AutocastTestLoop, AutocastValLoop
from .resumable_train_loop import ResumableTrainLoop

__all__ = ['AutocastTestLoop', 'AutocastValLoop', 'ResumableTrainLoop']
