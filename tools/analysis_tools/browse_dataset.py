# Copyright (c) mmdefusion authors. All rights reserved.
"""Shows what a config's pipeline makes of its data: photos with their two views, pairs, or pairs with their labels."""

from __future__ import annotations

import argparse
import os.path as osp

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.utils import ProgressBar
from mmengine.visualization import Visualizer

import mmdefusion  # noqa: F401  checks the environment before anything is built
from mmdefusion.models import CUDTargetGenerator, FusionDataPreprocessor
from mmdefusion.registry import DATASETS, VISUALIZERS
from mmdefusion.visualization import FusionLocalVisualizer
from mmdefusion.visualization.paired_visualizer import PairedVisualizerMixin


def parse_args() -> argparse.Namespace:
    """Reads the command line, the same flags as in mmdet."""
    parser = argparse.ArgumentParser(description='Browse a dataset')
    parser.add_argument('config', help='train config file path')
    parser.add_argument('--output-dir', '-o', help='write the pictures into this folder')
    parser.add_argument('--not-show', action='store_true', help='do not open a window')
    parser.add_argument('--phase', '-p', default='train', choices=['train', 'val', 'test'], help='which dataset')
    parser.add_argument('--show-number', '-n', type=int, help='how many samples to show, default all')
    parser.add_argument('--show-interval', type=float, default=2, help='seconds that a window stays')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='override settings of the config')
    return parser.parse_args()


def to_background(image: torch.Tensor, visualizer: Visualizer) -> np.ndarray:
    """What a host's visualizer draws on, of what its pipeline packs, (3k, H, W) BGR.

    Args:
        image: One source or two.
        visualizer: The visualizer.

    Returns:
        (H, W, 6) BGR of a pair for a visualizer that knows pairs, which would otherwise read the partner from its file,
        as it was before flips and resizes; (H, W, 3) RGB of the first source for any other.
    """
    pixels = image.permute(1, 2, 0).numpy().clip(0, 255).astype(np.uint8)
    if pixels.shape[2] == 6 and isinstance(visualizer, PairedVisualizerMixin):
        return pixels
    return np.ascontiguousarray(pixels[..., 2::-1])


def main() -> None:
    """Browses."""
    args = parse_args()
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmdefusion'))
    dataset = DATASETS.build(cfg[f'{args.phase}_dataloader'].dataset)
    visualizer = VISUALIZERS.build({**cfg.visualizer, 'vis_backends': None})
    if hasattr(dataset, 'metainfo'):
        visualizer.dataset_meta = dataset.metainfo
    is_fusion = isinstance(visualizer, FusionLocalVisualizer)
    preprocess, generate = FusionDataPreprocessor(), CUDTargetGenerator()
    count = min(len(dataset), args.show_number or len(dataset))
    progress = ProgressBar(count)
    for index in range(count):
        item = dataset[index]
        sample = item['data_samples']
        if 'cud_masks' in sample:
            torch.manual_seed(index)
            targets = generate(preprocess(dict(inputs=[item['inputs']]))['inputs'], sample.cud_masks[None])
            sample.set_data(dict(view1=targets.view1[0], view2=targets.view2[0]))
        boxes = sample.get('gt_instances', {}).get('bboxes')
        if hasattr(boxes, 'tensor'):
            # Pipelines of mmdet give boxes a class of their own, its visualizer draws plain tensors.
            sample.gt_instances.bboxes = boxes.tensor
        name = f'{index:05}_{osp.splitext(osp.basename(sample.img_path))[0]}'
        visualizer.add_datasample(
            name,
            item['inputs'] if is_fusion else to_background(item['inputs'], visualizer),
            data_sample=sample,
            draw_pred=False,
            show=not args.not_show,
            wait_time=args.show_interval,
            out_file=args.output_dir and osp.join(args.output_dir, f'{name}.png'),
        )
        progress.update()


if __name__ == '__main__':
    main()
