# Copyright (c) mmdefusion authors. All rights reserved.
"""COCO annotations of a paired dataset, with checks."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.utils import track_iter_progress

from mmdefusion.utils.image_io import read_image
from mmdefusion.utils.output_files import write_bytes

from .layouts import SplitLayout
from .object_boxes import read_boxes

_SHOWN_PROBLEMS = 20
_CHANGED = ('boxes left out', 'boxes clipped')


def convert_splits(
    root: Path,
    splits: Mapping[str, SplitLayout],
    categories: Sequence[str],
    out_dir: Path,
    fused: Path | None = None,
) -> dict[str, dict[str, int]]:
    """Writes the annotations of splits: the same boxes for the visible and the infrared images, and for fused ones.

    ``out_dir`` gets ``visible_SPLIT.json``, ``infrared_SPLIT.json`` and, with ``fused``, ``fused_SPLIT.json``, which
    differ in ``file_name`` only. That is relative to ``root``, so ``data_prefix=dict(img='')``. Every image is decoded,
    which takes a while; a progress bar goes to stderr.

    Args:
        root: Folder of the dataset.
        splits: Where things are, by name of the split.
        categories: Names of the categories; their ids count from 1.
        out_dir: Folder for the annotations.
        fused: Folder of fused images, with the stems of the visible ones and the suffix ``.png``.

    Returns:
        Counts of each split: ``pairs``, ``boxes``, ``pairs without boxes``, ``boxes left out``, ``boxes clipped``, the
        boxes of each category, and for a split with ``held_out`` ``pairs held out``.

    Raises:
        ValueError: Files are missing, unreadable or of different sizes, labels are unknown, or there is no box at all;
            one error lists all that was found in all of the splits. Nothing is written then.
    """
    counts, contents, errors = {}, {}, []
    for split, layout in splits.items():
        try:
            counts[split], of_sides = _read_split(root, split, layout, categories, fused)
        except ValueError as error:
            errors.append(str(error))
            continue
        contents.update({f'{side}_{split}.json': content for side, content in of_sides.items()})
    if errors:
        raise ValueError('\n'.join(errors))
    for name, content in contents.items():
        write_bytes(out_dir / name, json.dumps(content).encode())
    return counts


def _read_split(
    root: Path, split: str, layout: SplitLayout, categories: Sequence[str], fused: Path | None
) -> tuple[dict[str, int], dict[str, dict]]:
    """Counts, and the content of the annotation file of each side."""
    images, annotations, problems = [], [], []
    counts = Counter(dict.fromkeys(('pairs', 'pairs without boxes', 'boxes', *categories, *_CHANGED), 0))
    names, held_out = layout.list_names(root)
    if layout.held_out is not None:
        counts['pairs held out'] = held_out
    # One pair at a time, so that memory does not grow with the dataset.
    for name in track_iter_progress(names, file=sys.stderr):
        try:
            record, boxes = _read_pair(root, name, layout, fused, counts)
        except ValueError as error:
            problems.append(str(error))
            continue
        images.append(dict(id=len(images) + 1, **record))
        counts['pairs'] += 1
        counts['pairs without boxes'] += not boxes
        for category, (x, y, width, height) in boxes:
            counts['boxes'] += 1
            counts[category] += 1
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=images[-1]['id'],
                    category_id=categories.index(category) + 1,
                    bbox=[x, y, width, height],
                    area=width * height,
                    iscrowd=0,
                )
            )
    if problems:
        shown = problems[:_SHOWN_PROBLEMS]
        if len(problems) > _SHOWN_PROBLEMS:
            shown.append(f'... and {len(problems) - _SHOWN_PROBLEMS} more')
        raise ValueError(f'{split}: {len(problems)} pairs cannot be used:\n  ' + '\n  '.join(shown))
    if not annotations:
        raise ValueError(f'{split}: {len(images)} pairs in {root}, but not one box in {layout.labels}')
    listed = [dict(id=index, name=category) for index, category in enumerate(categories, 1)]
    contents = {
        side: dict(
            images=[dict(id=image['id'], file_name=image[side], **image['size']) for image in images],
            annotations=annotations,
            categories=listed,
        )
        for side in ('visible', 'infrared', 'fused')[: 2 if fused is None else 3]
    }
    return dict(counts), contents


def _read_pair(
    root: Path, name: str, layout: SplitLayout, fused: Path | None, counts: Counter
) -> tuple[dict, list[tuple[str, tuple[float, ...]]]]:
    paths = {side: layout.path(root, side, name) for side in ('visible', 'infrared')}
    if fused is not None:
        paths['fused'] = fused / f'{paths["visible"].stem}.png'
    sizes = {side: _image_size(path) for side, path in paths.items()}
    width, height = size = sizes['visible']
    for side, path in paths.items():
        if sizes[side] != size:
            raise ValueError(
                f'{path}: {sizes[side][0]} x {sizes[side][1]} pixels (width x height); expected the size of '
                f'{paths["visible"]}, {width} x {height}'
            )
    label_path = layout.path(root, 'labels', name)
    boxes = []
    for box in read_boxes(label_path, layout.label_format, size, layout.min_area, layout.max_gap):
        if box.label not in layout.classes:
            raise ValueError(f'{label_path}: unknown class {box.label!r}; expected one of {sorted(layout.classes)}')
        category, clipped = layout.classes[box.label], box.clip(size)
        if category is None or clipped.x2 <= clipped.x1 or clipped.y2 <= clipped.y1:
            counts[_CHANGED[0]] += 1
            continue
        counts[_CHANGED[1]] += clipped != box
        boxes.append((category, (clipped.x1, clipped.y1, clipped.x2 - clipped.x1, clipped.y2 - clipped.y1)))
    files = {side: path.relative_to(root).as_posix() for side, path in paths.items()}
    return dict(**files, size=dict(width=width, height=height)), boxes


def _image_size(path: Path) -> tuple[int, int]:
    """(width, height) of the decoded image: a header does not tell whether the rest of the file is there."""
    if not path.is_file():
        raise ValueError(f'{path}: no such image; expected the partner of the same name')
    height, width = read_image(path).bgr.shape[:2]
    return width, height
