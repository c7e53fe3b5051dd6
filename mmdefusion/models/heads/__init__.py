# Copyright (c) mmdefusion authors. All rights reserved.
"""Heads: losses of pretraining."""

from .defusion_head import DeFusionHead
from .fusion_head import FusionHead
from .mae_head import MAEHead
from .mcud_head import MCUDHead

__all__ = ['DeFusionHead', 'FusionHead', 'MAEHead', 'MCUDHead']
