# Copyright (c) mmdefusion authors. All rights reserved.
"""Measures what features of a pair know: segmentation labels that a linear map reads from frozen tokens."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import mmdefusion  # noqa: F401  checks the environment before anything is built
from mmdefusion.evaluation.folders import read_names
from mmdefusion.evaluation.linear_probe import ProbeResult, cells, linear_probe
from mmdefusion.evaluation.report import write_json
from mmdefusion.models import DeFusionViT
from mmdefusion.utils.image_io import ImageMatch, ImageSide, match_images, read_image
from mmdefusion.utils.pretrained import load_pretrained

OUT_TYPES = ('fused', 'common', 'unique', 'concat')
#: Cells along a side of a patch: labels are read at a quarter of a patch.
CELLS = 4


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description='Fit and score a linear probe of the backbone of each checkpoint')
    parser.add_argument('checkpoints', nargs='+', help="checkpoints or published weights; 'random' for none")
    parser.add_argument('--data-root', required=True, help='folder of the three below, and of the lists')
    parser.add_argument('--a', default='vi', help='folder of the first images (default: %(default)s)')
    parser.add_argument('--b', default='ir', help='folder of the second images (default: %(default)s)')
    parser.add_argument('--labels', default='pseudo_labels', help='folder of label images (default: %(default)s)')
    parser.add_argument('--train-names', default='train.txt', help='names to fit (default: %(default)s)')
    parser.add_argument('--val-names', default='val.txt', help='names to score (default: %(default)s)')
    parser.add_argument(
        '--classes', nargs='+', default=['unlabelled', 'car', 'person'], help='names of labels from 0 on'
    )
    parser.add_argument('--out-types', nargs='+', choices=OUT_TYPES, default=list(OUT_TYPES), help='default all')
    parser.add_argument('--arch', default='nano', help='of the backbone (default: %(default)s)')
    parser.add_argument('--json', help='write the figures to this file')
    return parser.parse_args()


def read_samples(args: argparse.Namespace, names: str) -> list[ImageMatch]:
    """Images and labels of a list.

    Raises:
        ValueError: A file is missing.
    """
    root = Path(args.data_root)
    sides = [ImageSide(root / folder) for folder in (args.a, args.b, args.labels)]
    matches, problems = match_images(sides, read_names(root / names))
    if problems:
        raise ValueError('\n'.join(problems.values()))
    return matches


@torch.no_grad()
def extract(backbone: DeFusionViT, samples: list[ImageMatch], num_classes: int) -> tuple[Tensor, Tensor]:
    """Tokens (M, D) of all samples, and the labels (M, cells) of their places.

    Raises:
        ValueError: Images and labels differ in size, do not consist of whole patches, or a label has no name.
    """
    features, labels = [], []
    patch_size = backbone.arch.patch_size
    for sample in samples:
        first, second, label = (read_image(path).bgr for path in sample.paths)
        height, width = label.shape[:2]
        if not first.shape == second.shape == label.shape or height % patch_size or width % patch_size:
            raise ValueError(
                f'{sample.name}: found {first.shape[:2]}, {second.shape[:2]} and labels of {height, width}; '
                f'expected one size of whole patches of {patch_size}'
            )
        if label.max() >= num_classes:
            raise ValueError(f'{sample.paths[2]}: found label {label.max()}, expected 0 to {num_classes - 1}')
        pair = np.concatenate([first[..., ::-1], second[..., ::-1]], axis=2).astype(np.float32) / 255
        (tokens,) = backbone(torch.from_numpy(pair).permute(2, 0, 1)[None])
        features.append(tokens[0].flatten(1).T)
        labels.append(cells(torch.from_numpy(label[..., 0].astype(np.int64)), patch_size, CELLS))
    return torch.cat(features), torch.cat(labels)


def probe(args: argparse.Namespace, checkpoint: str, out_type: str) -> ProbeResult:
    """Probes one kind of features of one checkpoint."""
    torch.manual_seed(0)
    backbone = DeFusionViT(arch=args.arch, num_sources=2, out_type=out_type).eval()
    if checkpoint != 'random':
        load_pretrained(backbone, dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.'))
    train, val = (
        extract(backbone, read_samples(args, names), len(args.classes)) for names in (args.train_names, args.val_names)
    )
    return linear_probe(train, val, len(args.classes))


def main() -> None:
    """Probes."""
    args = parse_args()
    print('| checkpoint | features | cross entropy | ' + ' | '.join(f'{name} IoU %' for name in args.classes) + ' |')
    print('|---' * (3 + len(args.classes)) + '|')
    results = []
    try:
        for checkpoint in args.checkpoints:
            for out_type in args.out_types:
                result = probe(args, checkpoint, out_type)
                figures = [f'{result.cross_entropy:.3f}', *(f'{value:.1f}' for value in result.iou)]
                print(f'| {" | ".join([Path(checkpoint).stem, out_type, *figures])} |', flush=True)
                results.append(dict(checkpoint=checkpoint, out_type=out_type, **result._asdict()))
    except (ValueError, OSError) as error:
        sys.exit(f'Error: {error}')
    if args.json is not None:
        write_json(args.json, dict(results=results))


if __name__ == '__main__':
    main()
