# Copyright (c) mmdefusion authors. All rights reserved.
"""Evaluation."""

from .metrics import ReconstructionMetric

__all__ = ['ReconstructionMetric']
