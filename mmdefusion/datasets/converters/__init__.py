# Copyright (c) mmdefusion authors. All rights reserved.
"""From the published layouts of paired datasets to the formats that MMDetection reads."""

from .coco import convert_split
from .layouts import DETECTION_LAYOUTS, DetectionLayout, SplitLayout
from .object_boxes import ObjectBox, boxes_of_mask, read_boxes

__all__ = [
    'DETECTION_LAYOUTS',
    'DetectionLayout',
    'ObjectBox',
    'SplitLayout',
    'boxes_of_mask',
    'convert_split',
    'read_boxes',
]
