# Copyright (c) mmdefusion authors. All rights reserved.
"""Compares checkpoints of one network on test sets of pairs: tables of scores, and pictures of all parts."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import load_checkpoint

import mmdefusion  # noqa: F401  checks the environment before anything is built
from mmdefusion.utils.image_io import write_image
from mmdefusion.utils.output_files import write_bytes
from mmdefusion.visualization import draw_panel, sample_tiles
from mmdefusion.weights import local_checkpoint

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = [f'configs/fusion/defusion-pp_nano_{name}-val.py' for name in ('roadscene', 'msrs')]
LOG_LINES = 15


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description='Compare checkpoints on test sets of pairs')
    parser.add_argument(
        '--checkpoints',
        nargs='+',
        required=True,
        metavar='NAME=PATH',
        help='checkpoints of the network of the configs, or mmdefusion://NAME for weights of the package',
    )
    parser.add_argument(
        '--configs',
        nargs='+',
        default=[str(ROOT / config) for config in CONFIGS],
        help='configs of test sets; default the validation pairs of RoadScene and MSRS',
    )
    parser.add_argument(
        '--task', default='infrared_visible', help='task of compare_methods.py, which names the metrics'
    )
    parser.add_argument('--out-dir', required=True, help='folder for table.md and, for each test set, all results')
    parser.add_argument('--num-samples', type=int, default=3, help='pairs of each set to show the parts of (default 3)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, help='override settings of configs')
    args = parser.parse_args()
    named = dict(item.partition('=')[::2] for item in args.checkpoints)
    args.checkpoints = {name: local_checkpoint(path) for name, path in named.items()}
    missing = [path for path in args.checkpoints.values() if not Path(path).is_file()]
    if missing or '' in args.checkpoints:
        parser.error(f'--checkpoints must be NAME=PATH of files, these are none: {missing}')
    return args


def run(script: str, *arguments: object) -> None:
    """Runs a tool of this package in a process of its own.

    Raises:
        RuntimeError: If it fails; the message ends with what it said.
    """
    command = [sys.executable, str(ROOT / 'tools' / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        tail = '\n'.join((done.stdout + done.stderr).splitlines()[-LOG_LINES:])
        raise RuntimeError(f'{" ".join(command)} failed:\n{tail}')


def compare(config: Config, checkpoints: Mapping[str, str], task: str, folder: Path) -> str:
    """Scores all checkpoints on one test set.

    Returns:
        The table, Markdown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config.dump(folder / 'config.py')
    for name, checkpoint in checkpoints.items():
        out = folder / name
        run('test.py', folder / 'config.py', checkpoint, '--work-dir', out, '--out-dir', out / 'fused')
    methods = [f'{name}={folder / name / "scores.json"}' for name in checkpoints]
    run('analysis_tools/compare_methods.py', '--task', task, '--methods', *methods, '--out-dir', folder)
    return (folder / 'table.md').read_text(encoding='utf-8')


@torch.no_grad()
def draw_parts(config: Config, checkpoints: Mapping[str, str], num_samples: int) -> dict[str, np.ndarray]:
    """Draws common, unique and fused images of a few pairs, one checkpoint below the other.

    Returns:
        Panels by the stem of the pair, RGB uint8.
    """
    init_default_scope(config.default_scope)
    dataset = DATASETS.build(config.test_dataloader.dataset)
    model = MODELS.build(config.model).eval()
    indices = np.linspace(0, len(dataset) - 1, min(len(dataset), num_samples)).round().astype(int)
    samples = [dataset[index] for index in indices]
    tiles = {Path(sample['data_samples'].img_path).stem: {} for sample in samples}
    for name, checkpoint in checkpoints.items():
        load_checkpoint(model, checkpoint, map_location='cpu', logger='silent')
        for sample in samples:
            predicted = model.test_step(pseudo_collate([sample]))[0]
            for title, image in sample_tiles(sample['inputs'], predicted).items():
                tiles[Path(predicted.img_path).stem][f'{title}: {name}'] = image
    columns = [len(row) // len(checkpoints) for row in tiles.values()]
    return {stem: draw_panel(row, width) for (stem, row), width in zip(tiles.items(), columns, strict=True)}


def main() -> None:
    """Compares."""
    args = parse_args()
    out_dir = Path(args.out_dir)
    tables = []
    try:
        for path in args.configs:
            config = Config.fromfile(path)
            config.merge_from_dict(args.cfg_options)
            folder = out_dir / Path(path).stem
            tables.append(f'## {Path(path).stem}\n\n{compare(config, args.checkpoints, args.task, folder)}')
            print(tables[-1], flush=True)
            for stem, panel in draw_parts(config, args.checkpoints, args.num_samples).items():
                write_image(folder / 'parts' / f'{stem}.png', panel[..., ::-1])
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f'Error: {error}')
    write_bytes(out_dir / 'table.md', '\n'.join(tables).encode())


if __name__ == '__main__':
    main()
