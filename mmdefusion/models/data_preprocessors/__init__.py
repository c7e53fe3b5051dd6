# Copyright (c) mmdefusion authors. All rights reserved.
"""Data preprocessors."""

from .fusion_data_preprocessor import FusionDataPreprocessor
from .paired_data_preprocessor import PairedDetDataPreprocessor, PairedSegDataPreProcessor

__all__ = ['FusionDataPreprocessor', 'PairedDetDataPreprocessor', 'PairedSegDataPreProcessor']
