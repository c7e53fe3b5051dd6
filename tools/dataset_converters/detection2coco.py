# Copyright (c) mmdefusion authors. All rights reserved.
"""Writes COCO annotations for a paired detection dataset as its authors publish it."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import mmdefusion  # noqa: F401  checks the environment before anything is built
from mmdefusion.datasets.converters import DETECTION_LAYOUTS, convert_splits
from mmdefusion.utils.tool_errors import non_negative_int


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description='Write COCO annotations for a paired detection dataset',
        epilog='With --split, the other options describe that split where it differs from the published layout.',
    )
    parser.add_argument('dataset', choices=sorted(DETECTION_LAYOUTS), help='which dataset')
    parser.add_argument('root', type=Path, help='folder of the dataset')
    parser.add_argument('--out-dir', type=Path, help='folder for the annotations, default ROOT/annotations')
    parser.add_argument('--fused', help='folder of fused images below ROOT: also annotate these')
    parser.add_argument('--split', help='only this split')
    parser.add_argument('--visible', help='path of the visible image of a name below ROOT, e.g. "vi/{name}.png"')
    parser.add_argument('--infrared', help='path of the infrared image of a name')
    parser.add_argument('--labels', help='path of the label file of a name')
    parser.add_argument('--names', help='file below ROOT with the names of the split; "labels": all with a label file')
    parser.add_argument('--min-area', type=int, help='for masks: smallest number of pixels of an object')
    parser.add_argument(
        '--max-gap',
        type=non_negative_int,
        help='for masks: most pixels between regions, one above the other, of one object',
    )
    args = parser.parse_args()
    layout = DETECTION_LAYOUTS[args.dataset]
    if args.split is not None and args.split not in layout.splits:
        parser.error(f'{args.dataset} has no split {args.split}; expected one of {sorted(layout.splits)}')
    args.changes = {
        key: value
        for key in ('visible', 'infrared', 'labels', 'names', 'min_area', 'max_gap')
        if (value := getattr(args, key)) is not None
    }
    if args.changes and args.split is None:
        parser.error(f'--{next(iter(args.changes)).replace("_", "-")} needs --split')
    for key in ('visible', 'infrared', 'labels'):
        if args.changes.get(key, '{name}').count('{name}') != 1:
            parser.error(f'--{key} must contain {{name}} once, found {args.changes[key]}')
    return args


def main() -> None:
    """Converts."""
    args = parse_args()
    layout = DETECTION_LAYOUTS[args.dataset]
    out_dir = args.out_dir or args.root / 'annotations'
    fused = None if args.fused is None else args.root / args.fused
    another_tree = bool(args.changes.keys() - {'min_area', 'max_gap'})
    # Another tree than the published one keeps what it tests on apart in its own way, and may hold any number.
    changes = dict(args.changes, held_out=None) if another_tree else args.changes
    splits = {
        split: replace(split_layout, **changes)
        for split, split_layout in layout.splits.items()
        if args.split in (None, split)
    }
    try:
        counts = convert_splits(args.root, splits, layout.categories, out_dir, fused)
    except ValueError as error:
        sys.exit(f'Error: {error}')
    for split, counted in counts.items():
        published = '' if another_tree else f' ({layout.splits[split].published} published)'
        pairs, *others = (f'{count} {what}' for what, count in counted.items())
        print(f'{split}: ' + ', '.join([pairs + published, *others]))
    print(f'annotations in {out_dir}')


if __name__ == '__main__':
    main()
