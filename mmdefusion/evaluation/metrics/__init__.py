# Copyright (c) mmdefusion authors. All rights reserved.
"""Metrics for MMEngine's evaluator."""

from .reconstruction_metric import ReconstructionMetric

__all__ = ['ReconstructionMetric']
