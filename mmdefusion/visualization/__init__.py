# Copyright (c) mmdefusion authors. All rights reserved.
"""Drawing of samples."""

from .local_visualizer import FusionLocalVisualizer
from .paired_visualizer import PairedDetLocalVisualizer, PairedSegLocalVisualizer
from .panel import draw_panel, sample_tiles, tensor_to_image

__all__ = [
    'FusionLocalVisualizer',
    'PairedDetLocalVisualizer',
    'PairedSegLocalVisualizer',
    'draw_panel',
    'sample_tiles',
    'tensor_to_image',
]
