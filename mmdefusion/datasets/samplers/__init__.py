# Copyright (c) mmdefusion authors. All rights reserved.
"""Samplers."""

from .alternating_batch_sampler import AlternatingBatchSampler

__all__ = ['AlternatingBatchSampler']
