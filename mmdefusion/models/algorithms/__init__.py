# Copyright (c) mmdefusion authors. All rights reserved.
"""Algorithms: whole models that a Runner trains and tests."""

from .defusion import DeFusionPP

__all__ = ['DeFusionPP']
