# Copyright (c) mmdefusion authors. All rights reserved.
"""What tests of this package, and of packages built on it, share."""

from .models import TINY_ARCH, TINY_TEACHER, tiny_mcud_cfg, tiny_model_cfg
from .training import tiny_training_cfg

__all__ = ['TINY_ARCH', 'TINY_TEACHER', 'tiny_mcud_cfg', 'tiny_model_cfg', 'tiny_training_cfg']
