# Copyright (c) mmdefusion authors. All rights reserved.
"""Compares fusion methods on one set of pairs: a ranked table, a chart, and a contact sheet with enlarged crops."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmdefusion.evaluation.folders import match_results, read_names, score_folders
from mmdefusion.evaluation.functional import to_luma
from mmdefusion.evaluation.ranking import RANKED_METRICS, MethodScores, rank_methods, ranking_table
from mmdefusion.evaluation.report import make_report, write_json
from mmdefusion.evaluation.scoring import FusedResult, ScoringPool
from mmdefusion.models.classical import CLASSICAL_METHODS
from mmdefusion.utils.image_io import list_images, quantize, read_image, write_image
from mmdefusion.utils.output_files import write_bytes
from mmdefusion.visualization.contact_sheet import draw_contact_sheet
from mmdefusion.visualization.score_chart import write_score_chart

CLASSICAL_NOTE = """\
Rows in gray in the chart fuse without learning. The maximum is rewarded by MI, VIF and Qabf for copying the brighter
source, gradient-domain (poisson) fusion by SCD and Qabf: a network that does not beat both has not shown anything."""
MEANS_NOTE = 'Methods of which only means are known ({}) keep them in every bootstrap sample.'


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description='Compare fusion methods on one set of pairs')
    parser.add_argument(
        '--methods',
        nargs='+',
        required=True,
        metavar='NAME=PATH',
        help='folder of fused images (needs --a and --b), or JSON of eval_fused_dir.py or test.py',
    )
    parser.add_argument('--means', help='JSON of methods of which only means are known: {method: {metric: mean}}')
    parser.add_argument('--a', help='folder of the first sources')
    parser.add_argument('--b', help='folder of the second sources')
    parser.add_argument('--names', help='text file of the names to compare on, one a line')
    parser.add_argument('--no-classical', action='store_true', help='leave out the rows of methods without learning')
    ranking = parser.add_mutually_exclusive_group(required=True)
    ranking.add_argument('--task', choices=list(RANKED_METRICS), help='rank by the metrics of this task')
    ranking.add_argument('--rank-by', nargs='+', metavar='METRIC', help='rank by these metrics')
    parser.add_argument('--out-dir', required=True, help='folder for table.md, chart.png, sheet.png and NAME.json')
    parser.add_argument('--sheet', nargs='+', metavar='STEM', help='pairs on the contact sheet; default three of them')
    parser.add_argument('--num-samples', type=int, default=1000, help='bootstrap samples (default 1000)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the bootstrap (default 0)')
    parser.add_argument('--workers', type=int, help='processes; default: one for each core')
    args = parser.parse_args()
    if any(not name or not path for name, _, path in (method.partition('=') for method in args.methods)):
        parser.error(f'--methods must be NAME=PATH, found {args.methods}')
    if (args.a is None) != (args.b is None):
        parser.error('--a and --b go together')
    return args


def score_methods(args: argparse.Namespace, metrics: list[str]) -> tuple[dict[str, dict], dict[str, str]]:
    """Scores folders, reads JSON files.

    Returns:
        Reports by name of the method, and the folders among the methods.
    """
    names = None if args.names is None else read_names(args.names)
    reports, folders = {}, {}
    for name, _, path in (method.partition('=') for method in args.methods):
        if name in reports:
            raise ValueError(f'two methods are named {name}')
        if not Path(path).is_dir():
            reports[name] = read_report(path, names)
            continue
        if args.a is None:
            raise ValueError(f'{path} is a folder: scoring it needs the sources, --a and --b')
        folders[name] = path
        reports[name] = score_folders(args.a, args.b, path, None, names, metrics, args.workers)
        write_json(Path(args.out_dir) / f'{name}.json', reports[name])
    return reports, folders


def read_report(path: str, names: list[str] | None) -> dict:
    """Reads a JSON file of ``mean``, ``images`` and ``protocol``.

    Raises:
        ValueError: If it is none.
    """
    try:
        report = json.loads(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ValueError(f'{path}: neither a folder nor a readable JSON file ({error})') from error
    if not isinstance(report, dict) or not {'mean', 'images'} <= report.keys() or not report['images']:
        raise ValueError(f'{path}: expected mean and images, as eval_fused_dir.py writes them')
    if names is not None:
        stems = {Path(name).stem for name in names} | set(names)
        images = {name: scores for name, scores in report['images'].items() if name in stems}
        report = make_report(images, report['protocol']['metrics'])
    return report


def score_classical(args: argparse.Namespace, stems: list[str], metrics: list[str]) -> dict[str, dict]:
    """Fuses and scores the pairs without learning."""
    pairs = match_results(args.a, args.b, args.a, names=stems)
    pools = {name: ScoringPool(metrics, args.workers) for name in CLASSICAL_METHODS}
    reports = {}
    for name, pool in pools.items():
        for pair in pairs:
            a, b = (to_luma(read_image(path).bgr) for path in (pair.a, pair.b))
            pool.submit(FusedResult(pair.name, a, b, CLASSICAL_METHODS[name](a, b)))
        reports[name] = make_report(dict(pool.collect()), pool.metrics)
        write_json(Path(args.out_dir) / f'{name}.json', reports[name])
    return reports


def make_sheet_rows(
    args: argparse.Namespace, folders: Mapping[str, str], stems: list[str]
) -> list[dict[str, np.ndarray]]:
    """Reads the images of the contact sheet; classical rows are the maximum and the gradient-domain one."""
    chosen = args.sheet or [stems[index] for index in sorted({0, len(stems) // 2, len(stems) - 1})]
    listed = {name: list_images(folder) for name, folder in {'a': args.a, 'b': args.b, **folders}.items()}
    missing = [stem for stem in chosen if any(stem not in images for images in listed.values())]
    if missing:
        raise ValueError(f'--sheet: {", ".join(missing)} is not in every folder')
    rows = []
    for stem in chosen:
        row = {name: quantize(read_image(images[stem][0]).bgr, 8) for name, images in listed.items()}
        if not args.no_classical:
            a, b = to_luma(row['a']), to_luma(row['b'])
            row |= {name: CLASSICAL_METHODS[name](a, b) for name in ('maximum', 'poisson')}
        rows.append(row)
    return rows


def compare(args: argparse.Namespace) -> str:
    """Scores, ranks, draws and writes.

    Returns:
        The text of table.md.
    """
    metrics = list(args.rank_by or RANKED_METRICS[args.task])
    reports, folders = score_methods(args, metrics)
    stems = list(next(iter(reports.values()))['images'])
    with_classical = args.a is not None and not args.no_classical
    classical = score_classical(args, stems, metrics) if with_classical else {}
    methods = {
        name: MethodScores(report['mean'], report['images']) for name, report in {**classical, **reports}.items()
    }
    means = json.loads(Path(args.means).read_text(encoding='utf-8')) if args.means else {}
    means = {name: MethodScores(mean) for name, mean in means.items() if name not in methods}
    methods |= means
    ranks = rank_methods(methods, metrics, args.num_samples, seed=args.seed)
    lines = [ranking_table(methods, ranks, metrics), '', f'{len(stems)} pairs.']
    if with_classical:
        lines.append(CLASSICAL_NOTE)
    if means:
        lines.append(MEANS_NOTE.format(', '.join(means)))
    out_dir = Path(args.out_dir)
    text = '\n'.join(lines) + '\n'
    write_bytes(out_dir / 'table.md', text.encode())
    write_score_chart(out_dir / 'chart.png', methods, ranks, metrics, CLASSICAL_METHODS)
    if folders:
        write_image(out_dir / 'sheet.png', draw_contact_sheet(make_sheet_rows(args, folders, stems)))
    return text


def main() -> None:
    """Compares."""
    args = parse_args()
    try:
        print(compare(args), end='')
    except (ValueError, OSError) as error:
        sys.exit(f'Error: {error}')


if __name__ == '__main__':
    main()
