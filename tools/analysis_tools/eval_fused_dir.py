# Copyright (c) mmdefusion authors. All rights reserved.
"""Scores a folder of fused images, whatever method made them, against the folders of their sources."""

from __future__ import annotations

import argparse
import sys

from mmdefusion.evaluation.folders import read_names, score_folders
from mmdefusion.evaluation.report import format_table, write_csv, write_json


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description='Score fused images. Files are matched by stem, whatever their suffixes.',
        epilog='Metrics, their definitions and variants: docs/en/user_guides/metrics.md',
    )
    parser.add_argument('--a', required=True, help='folder of the first sources')
    parser.add_argument('--b', required=True, help='folder of the second sources')
    parser.add_argument('--fused', required=True, help='folder of the fused images')
    parser.add_argument('--truth', help='folder of the images that fusion should give, where they are known')
    parser.add_argument('--names', help='text file of the names to score, one a line; default: all of all folders')
    parser.add_argument('--metrics', nargs='+', metavar='NAME', help='metrics; default: all')
    parser.add_argument('--json', help='write mean, images and protocol to this file')
    parser.add_argument('--csv', help='write a line for each image to this file')
    parser.add_argument('--workers', type=int, help='processes; default: one for each core')
    return parser.parse_args()


def main() -> None:
    """Scores."""
    args = parse_args()
    try:
        names = None if args.names is None else read_names(args.names)
        report = score_folders(args.a, args.b, args.fused, args.truth, names, args.metrics, args.workers)
    except ValueError as error:
        sys.exit(f'Error: {error}')
    print(format_table(report))
    if args.json is not None:
        write_json(args.json, report)
    if args.csv is not None:
        write_csv(args.csv, report)


if __name__ == '__main__':
    main()
