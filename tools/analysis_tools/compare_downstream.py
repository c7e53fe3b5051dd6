# Copyright (c) mmdefusion authors. All rights reserved.
"""Measures what pretraining gives a detector or segmentor: variants x seeds, a table, curves and predictions.

Runs that are finished are not repeated: stop it at any time and give the same command again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config, DictAction

import mmdefusion  # noqa: F401  checks the environment before anything is built
from mmdefusion.apis.downstream import draw_prediction_sheet
from mmdefusion.datasets.converters import MSRS_PSEUDO_LAYOUT, convert_splits
from mmdefusion.evaluation.downstream import Run, read_curves, summarize, summary_table
from mmdefusion.evaluation.report import write_json
from mmdefusion.utils.image_io import write_image
from mmdefusion.utils.output_files import write_bytes
from mmdefusion.visualization.learning_curves import write_learning_curves
from mmdefusion.weights import local_checkpoint

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = ('visible', 'infrared', 'pair-scratch', 'pair-pretrained', 'pair-frozen')
LOG_LINES = 15
NUM_SAMPLES = 4


class Task(NamedTuple):
    """What is compared: stem of the configs, titles of the metrics, what makes them percent, and how to draw."""

    config: str
    metrics: dict[str, str]
    to_percent: float
    note: str
    draw_args: dict


TASKS = {
    'seg': Task(
        'mmseg/evidence/defusion-nano_fcn_1xb4-320_msrs-pseudo-480x640',
        {'mIoU': 'agreement, mIoU %', 'mAcc': 'mean class accuracy %', 'aAcc': 'pixel accuracy %'},
        1.0,
        'Agreement with MFNet pseudo-labels, not quality on MSRS: 89 pairs for training, 31 for validation, both parts '
        'of the MSRS test split.',
        dict(with_labels=False),
    ),
    'det': Task(
        'mmdet/evidence/retinanet_defusion-nano_1xb4-36e_msrs-pseudo-480x640',
        {'coco/bbox_mAP_50': 'AP50 %', 'coco/bbox_mAP': 'AP %'},
        100.0,
        'Persons and cars: trained on boxes around MFNet pseudo-labels of 89 pairs of MSRS, tested on the official '
        'ones of 19 others.',
        dict(pred_score_thr=0.3),
    ),
}


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description='Compare variants of a detector or segmentor over seeds')
    parser.add_argument('task', choices=list(TASKS), help='which table')
    parser.add_argument(
        '--checkpoint', required=True, help='pretraining checkpoint, published weights, or mmdefusion://NAME'
    )
    parser.add_argument('--data-root', help='folder of the data; default as in the configs')
    parser.add_argument(
        '--ann-dir',
        help='det: folder of the annotations; default as in the configs, '
        'or made in OUT_DIR/annotations where those are missing',
    )
    parser.add_argument('--out-dir', required=True, help='folder for table.md, results.json, pictures and runs/')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], help='default 0 1 2')
    parser.add_argument('--variants', nargs='+', choices=VARIANTS, default=list(VARIANTS), help='default all five')
    parser.add_argument('--config', help='stem of other configs, STEM_VARIANT.py, instead of the shipped ones')
    parser.add_argument('--samples', nargs='+', type=int, help='samples on the sheet; default four of them')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, help='override settings')
    return parser.parse_args()


def load_config(args: argparse.Namespace, variant: str, seed: int) -> Config:
    """Reads the config of a variant and applies the command line to it."""
    stem = Path(args.config).absolute() if args.config else ROOT / 'configs' / TASKS[args.task].config
    cfg = Config.fromfile(f'{stem}_{variant}.py')
    cfg.merge_from_dict({'randomness.seed': seed})
    if cfg.model.backbone.get('init_cfg') is not None:
        cfg.model.backbone.init_cfg.checkpoint = str(Path(args.checkpoint).absolute())
    for phase in ('train', 'val', 'test'):
        dataset = cfg[f'{phase}_dataloader'].dataset
        if args.data_root is not None:
            dataset.data_root = f'{Path(args.data_root).absolute()}/'
        if args.ann_dir is not None:
            dataset.ann_file = str(Path(args.ann_dir).absolute() / Path(dataset.ann_file).name)
    cfg.merge_from_dict(args.cfg_options)
    return cfg


def find_annotations(args: argparse.Namespace) -> Path | None:
    """Folder of the annotations of a detector, made anew where the data come without.

    Returns:
        None where the configs find theirs.

    Raises:
        ValueError: Annotations cannot be made of the data.
    """
    cfg = load_config(args, args.variants[0], args.seeds[0])
    datasets = [cfg[f'{phase}_dataloader'].dataset for phase in ('train', 'val')]
    if all(Path(dataset.data_root, dataset.ann_file).is_file() for dataset in datasets):
        return None
    folder = Path(args.out_dir) / 'annotations'
    layout = MSRS_PSEUDO_LAYOUT
    for split, counts in convert_splits(Path(datasets[0].data_root), layout.splits, layout.categories, folder).items():
        print(f'annotations of {split} made: {counts["pairs"]} pairs, {counts["boxes"]} boxes', flush=True)
    return folder


def fingerprint(cfg: Config) -> str:
    """What decides the result of a run: its config, and the weights that it starts from."""
    digest = hashlib.sha256(json.dumps(cfg.to_dict(), sort_keys=True, default=repr).encode())
    init_cfg = cfg.model.backbone.get('init_cfg')
    if init_cfg is not None:
        digest.update(Path(init_cfg.checkpoint).read_bytes())
    return digest.hexdigest()


def train(cfg: Config, folder: Path, seed: int, task: Task) -> tuple[Run, bool]:
    """Trains in a process of its own, or reads what an earlier training with the same settings left.

    Returns:
        The run, and whether it was trained now.

    Raises:
        RuntimeError: The training failed.
    """
    done, key = folder / 'done.json', fingerprint(cfg)
    if done.exists():
        earlier = json.loads(done.read_text(encoding='utf-8'))
        if earlier['fingerprint'] == key:
            return Run(seed, earlier['curves'], earlier['seconds']), False
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = folder / 'config.py'
    cfg.dump(config)
    start = time.perf_counter()
    command = [sys.executable, ROOT / 'tools/train.py', config, '--work-dir', folder]
    with open(folder / 'train.log', 'w', encoding='utf-8') as log:
        code = subprocess.run([str(part) for part in command], stdout=log, stderr=subprocess.STDOUT).returncode
    if code:
        last = (folder / 'train.log').read_text(encoding='utf-8').rstrip().splitlines()[-LOG_LINES:]
        raise RuntimeError(f'{folder}: training ended with code {code}:\n' + '\n'.join(last))
    curves = {
        metric: [(step, value * task.to_percent) for step, value in curve]
        for metric, curve in read_curves(folder, list(task.metrics)).items()
    }
    run = Run(seed, curves, time.perf_counter() - start)
    write_json(done, dict(fingerprint=key, curves=run.curves, seconds=run.seconds))
    return run, True


def compare(args: argparse.Namespace) -> str:
    """Trains what is missing, then writes table, results and pictures.

    Returns:
        The text of table.md.
    """
    task, out_dir = TASKS[args.task], Path(args.out_dir)
    args.checkpoint = local_checkpoint(args.checkpoint)
    if not Path(args.checkpoint).is_file():
        raise ValueError(f'{args.checkpoint}: no such file; expected a pretraining checkpoint')
    if args.task == 'det' and args.ann_dir is None:
        args.ann_dir = find_annotations(args)
    runs: dict[str, list[Run]] = {variant: [] for variant in args.variants}
    main_metric = next(iter(task.metrics))
    # Seed by seed, so that an unfinished comparison is one of all variants.
    for seed in args.seeds:
        for variant in args.variants:
            folder = out_dir / 'runs' / variant / f'seed{seed}'
            run, new = train(load_config(args, variant, seed), folder, seed, task)
            runs[variant].append(run)
            state = f'{run.seconds:.0f} s' if new else 'finished earlier'
            print(f'{variant}, seed {seed}: {main_metric} {run.final(main_metric):.2f} ({state})', flush=True)
    summary = summarize(runs, list(task.metrics))
    table = summary_table(summary, task.metrics)
    text = f'{table}\n\nMean ± standard deviation over seeds, at the last validation. {task.note}\n'
    write_json(out_dir / 'results.json', dict(task=args.task, note=task.note, variants=summary))
    write_bytes(out_dir / 'table.md', text.encode())
    loop = load_config(args, args.variants[0], args.seeds[0]).train_cfg.type
    step_name = 'epoch' if loop == 'EpochBasedTrainLoop' else 'iteration'
    write_learning_curves(out_dir / 'curves.png', summary, main_metric, task.metrics[main_metric], step_name)
    write_image(out_dir / 'sheet.png', draw_sheet(args, out_dir))
    return text


def draw_sheet(args: argparse.Namespace, out_dir: Path):
    """Draws the predictions of the first seed, with the last checkpoint of each variant."""
    variants = {}
    for variant in args.variants:
        folder = out_dir / 'runs' / variant / f'seed{args.seeds[0]}'
        checkpoint = (folder / 'last_checkpoint').read_text(encoding='utf-8').strip()
        variants[variant] = (load_config(args, variant, args.seeds[0]), checkpoint)
    return draw_prediction_sheet(variants, args.samples or NUM_SAMPLES, TASKS[args.task].draw_args)


def main() -> None:
    """Compares."""
    args = parse_args()
    try:
        print(compare(args), end='')
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f'Error: {error}')


if __name__ == '__main__':
    main()
