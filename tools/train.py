# Copyright (c) mmdefusion authors. All rights reserved.
"""Trains a model from a config."""

from __future__ import annotations

import argparse
import os
import os.path as osp
import sys

from mmengine.config import Config, DictAction
from mmengine.device import get_device, is_cuda_available
from mmengine.runner import Runner, find_latest_checkpoint

import mmdefusion  # noqa: F401  checks the environment before anything is built
from mmdefusion.registry import RUNNERS
from mmdefusion.utils.output_files import check_writable
from mmdefusion.utils.setup_env import keep_freed_memory, leave_distributed, prepare_distributed, share_batch
from mmdefusion.utils.tool_errors import errors_in_one_sentence


def parse_args() -> argparse.Namespace:
    """Reads the command line, the same flags as in mmdet."""
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='train config file path')
    parser.add_argument('--work-dir', help='the dir to save logs and models')
    parser.add_argument('--amp', action='store_true', help='train with automatic mixed precision (bfloat16 on a CPU)')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate with the total batch size'
    )
    parser.add_argument('--compile', action='store_true', help='compile the training step with torch.compile')
    parser.add_argument(
        '--total-batch-size',
        type=int,
        help='samples of a batch of all processes together; takes the place of train_dataloader.batch_size',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        type=str,
        const='auto',
        help='resume from this checkpoint, or without a path from the latest one in the work dir, if there is one',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config, key=value; lists as key="[a,b]" or key=a,b',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    # torch.distributed.launch passes --local_rank or --local-rank, torchrun only the environment variable.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def load_config(args: argparse.Namespace) -> Config:
    """Reads the config and applies the command line to it."""
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('./work_dirs', osp.splitext(osp.basename(args.config))[0])
    if args.amp and is_cuda_available():
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.pop('dtype', None)
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    elif args.amp:
        cfg.optim_wrapper.type = 'mmdefusion.AutocastOptimWrapper'
        cfg.optim_wrapper.dtype = 'bfloat16'
    if args.auto_scale_lr:
        if not cfg.get('auto_scale_lr', {}).get('base_batch_size'):
            sys.exit(f'--auto-scale-lr needs auto_scale_lr.base_batch_size, which {args.config} does not have')
        cfg.auto_scale_lr.enable = True
    if args.compile:
        cfg.compile = cfg.get('compile') or True
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='mmdefusion.CompileHook')]
    if args.resume == 'auto':
        # A first start has nothing to resume from, and begins with the weights that the config names.
        cfg.resume = find_latest_checkpoint(cfg.work_dir) is not None
        cfg.load_from = None if cfg.resume else cfg.get('load_from')
    elif args.resume is not None:
        cfg.resume = True
        cfg.load_from = args.resume
    return cfg


def main() -> None:
    """Trains."""
    args = parse_args()
    with errors_in_one_sentence(args.config):
        cfg = load_config(args)
    if get_device() == 'cpu':
        keep_freed_memory()
    prepare_distributed(cfg)
    if args.total_batch_size is not None:
        try:
            share_batch(cfg, args.total_batch_size)
        except ValueError as error:
            sys.exit(f'Error: {error}')
    with errors_in_one_sentence(cfg.work_dir):
        check_writable(cfg.work_dir)
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
        runner.train()
    leave_distributed()


if __name__ == '__main__':
    main()
