# Copyright (c) mmdefusion authors. All rights reserved.
"""Reading of object boxes: Pascal VOC xml, YOLO txt, and class masks."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

#: Suffix of a label file by format.
LABEL_SUFFIXES = dict(voc='.xml', yolo='.txt', mask='.png')
#: How far a YOLO box may go beyond the image by rounding, in parts of its side.
_YOLO_TOLERANCE = 0.01


class ObjectBox(NamedTuple):
    """A box of one object.

    Attributes:
        label: Name or number of the class, as published.
        x1: Left edge in pixels.
        y1: Upper edge in pixels.
        x2: Right edge in pixels, exclusive.
        y2: Lower edge in pixels, exclusive.
    """

    label: str
    x1: float
    y1: float
    x2: float
    y2: float

    def clip(self, size: tuple[int, int]) -> ObjectBox:
        """The part inside an image of ``size`` (width, height)."""
        (width, height), (x1, y1, x2, y2) = size, self[1:]
        return ObjectBox(self.label, max(x1, 0), max(y1, 0), min(x2, width), min(y2, height))


def read_boxes(
    path: Path, label_format: str, size: tuple[int, int], min_area: int = 1, max_gap: int = 0
) -> list[ObjectBox]:
    """Reads the boxes of one image.

    Args:
        path: Label file.
        label_format: ``'voc'``: Pascal VOC xml. ``'yolo'``: a line ``class cx cy width height`` in parts of the image
            for each object; an empty file is an image without objects. ``'mask'``: an 8-bit image of class numbers.
        size: (width, height) of the image in pixels.
        min_area: For masks: see :func:`boxes_of_mask`.
        max_gap: For masks: see :func:`boxes_of_mask`.

    Returns:
        The boxes, not clipped to the image.

    Raises:
        ValueError: The file is missing, cannot be read, is made for another size, or has a box without area.
    """
    if not path.is_file():
        raise ValueError(f'{path}: no such label file; expected one for each image')
    if label_format == 'mask':
        boxes = boxes_of_mask(_read_mask(path, size), min_area, max_gap)
    else:
        boxes = dict(voc=_read_voc, yolo=_read_yolo)[label_format](path, size)
    for box in boxes:
        if box.x2 <= box.x1 or box.y2 <= box.y1:
            raise ValueError(
                f'{path}: box {tuple(box[1:])} of class {box.label} has no area; expected x1 < x2, y1 < y2'
            )
    return boxes


def _read_voc(path: Path, size: tuple[int, int]) -> list[ObjectBox]:
    try:
        root = ElementTree.parse(path).getroot()
        declared = tuple(int(float(root.findtext(f'size/{side}', '0'))) for side in ('width', 'height'))
        boxes = [
            ObjectBox(
                item.findtext('name', '').strip(),
                *(float(item.findtext(f'bndbox/{edge}')) for edge in ('xmin', 'ymin', 'xmax', 'ymax')),
            )
            for item in root.iter('object')
        ]
    except (ElementTree.ParseError, TypeError, ValueError) as error:
        raise ValueError(f'{path}: not a Pascal VOC annotation ({error}); expected xml with object/bndbox') from error
    # Some tools write no size, or zeros.
    if all(declared) and declared != size:
        raise ValueError(f'{path}: made for {_pixels(declared)}; expected the size of the image, {_pixels(size)}')
    return boxes


def _read_yolo(path: Path, size: tuple[int, int]) -> list[ObjectBox]:
    boxes = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        try:
            label, (cx, cy, width, height) = str(int(fields[0])), map(float, fields[1:])
            relative = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
            if min(relative) < -_YOLO_TOLERANCE or max(relative) > 1 + _YOLO_TOLERANCE:
                raise ValueError('outside of the image')
        except ValueError as error:
            raise ValueError(
                f'{path}, line {number}: {line!r} ({error}); expected "class cx cy width height" in parts of the image'
            ) from error
        boxes.append(ObjectBox(label, *np.multiply(relative, (*size, *size)).tolist()))
    return boxes


def _read_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if mask is None or mask.ndim != 2 or mask.dtype != np.uint8:
        found = 'no image' if mask is None else f'array of shape {mask.shape} and type {mask.dtype}'
        raise ValueError(f'{path}: {found}; expected an 8-bit image of class numbers with one channel')
    if mask.shape != size[::-1]:
        raise ValueError(f'{path}: {_pixels(mask.shape[::-1])}; expected the size of the image, {_pixels(size)}')
    return mask


def boxes_of_mask(mask: np.ndarray, min_area: int = 1, max_gap: int = 0) -> list[ObjectBox]:
    """Boxes around the objects of each class.

    An object is an 8-connected region, or several that small gaps part. Objects of one class that touch share a box,
    and an object that another one cuts in two gets two where that is no small gap: masks of classes do not tell objects
    apart.

    Args:
        mask: Class numbers, (H, W) uint8; 0 is background.
        min_area: Smallest number of pixels of an object.
        max_gap: Regions of a class, one above the other, are one object where at most this many pixels lie between.
            Masks that a network predicts break persons at their belts and bags; objects that stand side by side stay
            apart.

    Returns:
        Boxes in the order of class, row and column; the label is the class number.
    """
    boxes = []
    for label in np.unique(mask[mask > 0]):
        pixels = (mask == label).astype(np.uint8)
        _, objects, statistics, _ = cv2.connectedComponentsWithStats(_close_gaps(pixels, max_gap), connectivity=8)
        # What is closed lies between pixels of its column, so that boxes are those of the pixels, but areas are not.
        areas = np.bincount(objects[pixels > 0], minlength=len(statistics))
        for (x, y, width, height, _), area in zip(statistics[1:].tolist(), areas[1:], strict=True):
            if area >= min_area:
                boxes.append(ObjectBox(str(label), x, y, x + width, y + height))
    return boxes


def _close_gaps(pixels: np.ndarray, max_gap: int) -> np.ndarray:
    """Closes gaps of each column by a dilation upwards and an erosion downwards; nothing is beyond the border."""
    column = np.ones((max_gap + 1, 1), np.uint8)
    padded = cv2.copyMakeBorder(pixels, max_gap, 0, 0, 0, cv2.BORDER_CONSTANT, value=0)
    dilated = cv2.dilate(padded, column, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return cv2.erode(dilated, column, anchor=(0, max_gap))[max_gap:]


def _pixels(size: tuple[int, ...]) -> str:
    return f'{size[0]} x {size[1]} pixels (width x height)'
