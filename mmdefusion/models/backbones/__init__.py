# Copyright (c) mmdefusion authors. All rights reserved.
"""Backbones."""

from .defusion_vit import DeFusionViT

__all__ = ['DeFusionViT']
