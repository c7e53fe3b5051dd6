# Copyright (c) mmdefusion authors. All rights reserved.
"""Whether objects that only one source shows stay visible in the fused image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmdefusion.datasets.converters.object_boxes import LABEL_SUFFIXES, ObjectBox, read_boxes
from mmdefusion.utils.image_io import read_image

from .folders import match_results
from .functional.luma import ImageLike, prepare


class BoxContrast(NamedTuple):
    """Local contrast inside one box: standard deviation of the luma in gray levels.

    Attributes:
        name: Stem of the image.
        label: Class of the box, as published.
        a: Contrast of the first source.
        b: Contrast of the second source.
        fused: Contrast of the fused image.
    """

    name: str
    label: str
    a: float
    b: float
    fused: float

    @property
    def ratio(self) -> float:
        """Contrast of the fused image over that of the better source; 1 where all are flat."""
        better = max(self.a, self.b)
        return self.fused / better if better else 1.0


def contrast_in_boxes(
    a: ImageLike, b: ImageLike, fused: ImageLike, boxes: Sequence[ObjectBox], name: str = ''
) -> list[BoxContrast]:
    """Contrast of both sources and the fused image inside each box.

    Args:
        a: First source, (H, W) luma or (H, W, 3) BGR in [0, 255].
        b: Second source.
        fused: Fused image.
        boxes: Boxes in pixels; edges are rounded, and what lies outside of the image is left out.
        name: Stem of the image, for the results.

    Returns:
        One record a box, without boxes that hold no pixel.

    Raises:
        ValueError: The images differ in size.
    """
    images = [luma.values for luma in prepare(a, b, fused)]
    height, width = images[0].shape
    records = []
    for box in boxes:
        x1, y1, x2, y2 = np.rint(box.clip((width, height))[1:]).astype(int)
        if x1 < x2 and y1 < y2:
            records.append(BoxContrast(name, box.label, *(float(image[y1:y2, x1:x2].std()) for image in images)))
    return records


def contrast_in_folders(
    a: str | os.PathLike,
    b: str | os.PathLike,
    fused: str | os.PathLike,
    labels: str | os.PathLike,
    label_format: str,
    names: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    min_area: int = 1,
    max_gap: int = 0,
) -> list[BoxContrast]:
    """Contrast inside the boxes of all images of folders, matched by stem.

    Args:
        a: Folder of the first sources.
        b: Folder of the second sources.
        fused: Folder of the fused images.
        labels: Folder of the label files, one for each image.
        label_format: ``'voc'``, ``'yolo'`` or ``'mask'``, see :func:`.read_boxes`.
        names: Images to look at; default every one with a label file.
        classes: Labels to look at; default all.
        min_area: For masks: see :func:`.boxes_of_mask`.
        max_gap: For masks: see :func:`.boxes_of_mask`.

    Returns:
        One record a box.

    Raises:
        ValueError: A file is missing or cannot be read, sizes differ, or there is no box at all.
    """
    suffix = LABEL_SUFFIXES[label_format]
    if names is None:
        names = sorted(path.stem for path in Path(labels).glob(f'*{suffix}'))
        if not names:
            raise ValueError(f'{labels}: no *{suffix}; expected a label file for each image')
    records = []
    for result in match_results(a, b, fused, names=names):
        images = [read_image(path).bgr for path in (result.a, result.b, result.fused)]
        size = images[0].shape[1::-1]
        boxes = read_boxes(Path(labels) / f'{result.name}{suffix}', label_format, size, min_area, max_gap)
        boxes = [box for box in boxes if classes is None or box.label in classes]
        records += contrast_in_boxes(*images, boxes, result.name)
    if not records:
        raise ValueError(f'{labels}: no box of {"any class" if classes is None else ", ".join(classes)} to look into')
    return records
