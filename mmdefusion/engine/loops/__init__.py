# Copyright (c) mmdefusion authors. All rights reserved.
"""Training loops."""

from .resumable_train_loop import ResumableTrainLoop

__all__ = ['ResumableTrainLoop']
