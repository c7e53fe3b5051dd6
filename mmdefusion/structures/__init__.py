# Copyright (c) mmdefusion authors. All rights reserved.
"""Data structures that travel between datasets, models, metrics and visualizers."""

from .fusion_data_sample import FusionDataSample

__all__ = ['FusionDataSample']
