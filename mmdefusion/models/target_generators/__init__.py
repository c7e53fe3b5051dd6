# Copyright (c) mmdefusion authors. All rights reserved.
"""Target generators: what a pretext task shows the network and asks of it."""

from .cud_target_generator import CUDTargetGenerator, CUDTargets
from .frozen_encoder import FrozenEncoder

__all__ = ['CUDTargetGenerator', 'CUDTargets', 'FrozenEncoder']
