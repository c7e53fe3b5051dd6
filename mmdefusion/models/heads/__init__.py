# Copyright (c) mmdefusion authors. All rights reserved.
"""Heads: losses of pretraining."""

from .defusion_head import DeFusionHead

__all__ = ['DeFusionHead']
