# Copyright (c) mmdefusion authors. All rights reserved.
"""Losses."""

from .ssim import ssim

__all__ = ['ssim']
