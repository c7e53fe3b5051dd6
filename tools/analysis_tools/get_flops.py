# Copyright (c) mmdefusion authors. All rights reserved.
"""Counts operations and parameters of a detector or segmentor of pairs, or of one image."""

from __future__ import annotations

import argparse
from functools import partial

import torch
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config, DictAction
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import BaseDataElement

import mmdefusion  # noqa: F401  checks the environment before anything is built


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description='Get the FLOPs of a model')
    parser.add_argument('config', help='config of MMDetection or MMSegmentation')
    parser.add_argument('--shape', type=int, nargs=2, default=[480, 640], metavar=('H', 'W'), help='default 480 640')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='override settings of the config')
    return parser.parse_args()


def count(cfg: Config, shape: tuple[int, int]) -> dict[str, int]:
    """Counts for one sample, without weights: random pixels do.

    Args:
        cfg: Config of a model, two sources where its test pipeline loads a partner.
        shape: Height and width.

    Returns:
        ``sources``, ``height`` and ``width`` after padding, ``flops`` (a multiplication with its addition is one) and
        ``params``.
    """
    init_default_scope(cfg.default_scope)
    steps = [step['type'] for step in cfg.test_dataloader.dataset.pipeline]
    sources = 2 if 'mmdefusion.LoadPairedImage' in steps else 1
    cfg.model.backbone.pop('init_cfg', None)
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).eval()
    sample = BaseDataElement(metainfo=dict(img_shape=tuple(shape), ori_shape=tuple(shape), scale_factor=(1.0, 1.0)))
    data = model.data_preprocessor(
        dict(inputs=[torch.randint(0, 256, (3 * sources, *shape)).byte()], data_samples=[sample])
    )
    model.forward = partial(model.forward, data_samples=data['data_samples'])
    found = get_model_complexity_info(model, None, inputs=(data['inputs'],), show_table=False, show_arch=False)
    height, width = data['inputs'].shape[-2:]
    return dict(sources=sources, height=height, width=width, flops=found['flops'], params=found['params'])


def main() -> None:
    """Counts and prints."""
    args = parse_args()
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    found = count(cfg, args.shape)
    print(f'input: {found["sources"]} x (3, {found["height"]}, {found["width"]})')
    print(f'flops: {found["flops"] / 1e9:.3f} G (matrix products and convolutions; attention is partly left out)')
    print(f'params: {found["params"] / 1e6:.3f} M')


if __name__ == '__main__':
    main()
