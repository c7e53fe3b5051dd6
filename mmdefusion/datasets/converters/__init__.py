# Copyright (c) mmdefusion authors. All rights reserved.
"""From folders and published layouts to the formats that detectors and streaming datasets read."""

from .coco import convert_splits
from .layouts import DETECTION_LAYOUTS, MSRS_PSEUDO_LAYOUT, DetectionLayout, SplitLayout
from .object_boxes import ObjectBox, boxes_of_mask, read_boxes
from .packing import PackSource, list_sources, pack_lmdb, pack_shards, shuffled

__all__ = [
    'DETECTION_LAYOUTS',
    'MSRS_PSEUDO_LAYOUT',
    'DetectionLayout',
    'ObjectBox',
    'PackSource',
    'SplitLayout',
    'boxes_of_mask',
    'convert_splits',
    'list_sources',
    'pack_lmdb',
    'pack_shards',
    'read_boxes',
    'shuffled',
]
