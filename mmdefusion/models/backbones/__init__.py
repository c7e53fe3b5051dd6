# Copyright (c) mmdefusion authors. All rights reserved.
"""Backbones."""

from .defusion_vit import DeFusionViT
from .mae_vit import MAEViT

__all__ = ['DeFusionViT', 'MAEViT']
