# Copyright (c) mmdefusion authors. All rights reserved.
"""Metrics for MMEngine's evaluator."""

from .dump_fused import DumpFusedResults
from .fusion_metric import FusionMetric
from .reconstruction_metric import ReconstructionMetric

__all__ = ['DumpFusedResults', 'FusionMetric', 'ReconstructionMetric']
