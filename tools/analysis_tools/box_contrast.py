# Copyright (c) mmdefusion authors. All rights reserved.
"""Checks that objects which only one source shows stay visible: local contrast inside boxes, fused against sources."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict

import numpy as np

from mmdefusion.datasets.converters.object_boxes import LABEL_SUFFIXES
from mmdefusion.evaluation.box_contrast import BoxContrast, contrast_in_folders
from mmdefusion.evaluation.folders import read_names
from mmdefusion.evaluation.report import write_json
from mmdefusion.utils.tool_errors import non_negative_int


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description='Compare the contrast inside boxes (standard deviation of luma) with that of the better source.'
    )
    parser.add_argument('--a', required=True, help='folder of the first sources')
    parser.add_argument('--b', required=True, help='folder of the second sources')
    parser.add_argument('--fused', required=True, help='folder of the fused images')
    parser.add_argument('--labels', required=True, help='folder of the label files')
    parser.add_argument('--format', default='yolo', choices=list(LABEL_SUFFIXES), help='of the label files')
    parser.add_argument('--min-area', type=int, default=1, help='for masks: smallest number of pixels of an object')
    parser.add_argument(
        '--max-gap',
        type=non_negative_int,
        default=0,
        help='for masks: most pixels between regions, one above the other, of one object',
    )
    parser.add_argument('--names', help='text file of the names to look at, one a line; default: all with labels')
    parser.add_argument('--classes', nargs='+', metavar='LABEL', help='labels to look at; default: all')
    parser.add_argument('--json', help='write every box to this file')
    return parser.parse_args()


def format_rows(records: list[BoxContrast]) -> str:
    """A Markdown table: for each class, and for all, the number of boxes and the distribution of the ratio."""
    groups = defaultdict(list)
    for record in records:
        groups[record.label].append(record.ratio)
    groups['all'] = [record.ratio for record in records]
    rows = ['| class | boxes | at least the better source | median ratio | tenth percentile |', '|---|---|---|---|---|']
    for label, ratios in groups.items():
        # Both are read from files of 8 bits: a thousandth is less than their rounding.
        share = np.mean(np.array(ratios) >= 0.999)
        low, median = np.quantile(ratios, (0.1, 0.5))
        rows.append(f'| {label} | {len(ratios)} | {share:.0%} | {median:.3f} | {low:.3f} |')
    return '\n'.join(rows)


def main() -> None:
    """Compares."""
    args = parse_args()
    try:
        names = None if args.names is None else read_names(args.names)
        records = contrast_in_folders(
            args.a,
            args.b,
            args.fused,
            args.labels,
            args.format,
            names=names,
            classes=args.classes,
            min_area=args.min_area,
            max_gap=args.max_gap,
        )
    except ValueError as error:
        sys.exit(f'Error: {error}')
    print(format_rows(records))
    if args.json is not None:
        write_json(args.json, dict(boxes=[dict(record._asdict(), ratio=record.ratio) for record in records]))


if __name__ == '__main__':
    main()
