# Copyright (c) mmdefusion authors. All rights reserved.
"""Data preprocessors."""

from .fusion_data_preprocessor import FusionDataPreprocessor

__all__ = ['FusionDataPreprocessor']
