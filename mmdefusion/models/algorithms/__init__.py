# Copyright (c) mmdefusion authors. All rights reserved.
"""Algorithms: whole models that a Runner trains and tests."""

from .classical_fusion import ClassicalFusion
from .defusion import DeFusionPP
from .fusion_tta import FusionTTAModel
from .mae import MAE
from .simmim import SimMIM

__all__ = ['MAE', 'ClassicalFusion', 'DeFusionPP', 'FusionTTAModel', 'SimMIM']
