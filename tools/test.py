# Copyright (c) mmdefusion authors. All rights reserved.
"""Tests a model on the test set of its config: scores, fused images, panels."""

from __future__ import annotations

import argparse
import os
import os.path as osp
import sys

from mmengine.config import Config, DictAction
from mmengine.runner import Runner

import mmdefusion  # noqa: F401  checks the environment before anything is built
from mmdefusion.utils.output_files import check_writable
from mmdefusion.utils.setup_env import leave_distributed, prepare_distributed
from mmdefusion.utils.tool_errors import errors_in_one_sentence


def parse_args() -> argparse.Namespace:
    """Reads the command line, the same flags as in mmdet and --out-dir."""
    parser = argparse.ArgumentParser(description='Test a model')
    parser.add_argument('config', help='test config file path')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file; models without weights need none')
    parser.add_argument('--work-dir', help='the directory for the log, scores.json and scores.csv')
    parser.add_argument('--out', help='dump the fused images, or what the host predicts, to this pickle file')
    parser.add_argument('--out-dir', help='write the fused images into this folder')
    parser.add_argument('--show', action='store_true', help='show panels of all images, or predictions')
    parser.add_argument('--show-dir', help='write these pictures into this folder below work_dir')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds that a shown picture stays')
    parser.add_argument('--tta', action='store_true', help='average over mirror images, or what tta_pipeline makes')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config, key=value; lists as key="[a,b]" or key=a,b',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    # dist_test.sh hands on an empty argument where a model needs no checkpoint.
    args.checkpoint = args.checkpoint or None
    if args.out is not None and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f'--out must end in .pkl or .pickle, found {args.out}')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def load_config(args: argparse.Namespace) -> Config:
    """Reads the config and applies the command line to it."""
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    cfg.work_dir = (
        args.work_dir or cfg.get('work_dir') or osp.join('./work_dirs', osp.splitext(osp.basename(args.config))[0])
    )
    cfg.load_from = args.checkpoint
    if args.tta:
        cfg.model = {**cfg.get('tta_model', dict(type='mmdefusion.FusionTTAModel')), 'module': cfg.model}
        # Fusion mirrors pairs in its model; detectors and segmentors take views that their pipeline makes.
        if 'tta_pipeline' in cfg:
            cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        elif not is_fusion(cfg):
            sys.exit(f'--tta needs a tta_pipeline, which {args.config} does not have')
    if is_fusion(cfg):
        add_outputs(cfg, args)
    else:
        add_host_outputs(cfg, args)
    if args.launcher != 'none':
        cfg.model_wrapper_cfg = dict(type='mmdefusion.InferenceModelWrapper')
    return cfg


def is_fusion(cfg: Config) -> bool:
    """Whether the config's model fuses images, rather than being a detector or segmentor of a host."""
    return cfg.get('default_scope', 'mmdefusion') == 'mmdefusion'


def add_outputs(cfg: Config, args: argparse.Namespace) -> None:
    """Adds what writes scores, fused images and panels."""
    if cfg.get('test_evaluator') is not None:
        evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
        for evaluator in evaluators:
            if evaluator.get('type') in ('FusionMetric', 'mmdefusion.FusionMetric'):
                suffix = f'_{evaluator.prefix}' if evaluator.get('prefix') else ''
                evaluator.setdefault('outfile_prefix', osp.join(cfg.work_dir, f'scores{suffix}'))
        if args.out is not None:
            evaluators = [*evaluators, dict(type='mmdefusion.DumpFusedResults', out_file_path=args.out)]
        cfg.test_evaluator = evaluators
    if args.out_dir is not None or args.show_dir is not None or args.show:
        outputs = dict(
            type='mmdefusion.FusionOutputHook',
            out_dir=args.out_dir,
            show_dir=args.show_dir,
            show=args.show,
            wait_time=args.wait_time,
        )
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), outputs]


def add_host_outputs(cfg: Config, args: argparse.Namespace) -> None:
    """Adds what writes and shows predictions of a detector or segmentor, as the host's own test tool does."""
    if args.out_dir is not None:
        sys.exit(f'--out-dir is for models that fuse images; {args.config} has default_scope {cfg.default_scope!r}')
    if args.out is not None:
        dump = dict(type='DumpDetResults' if cfg.default_scope == 'mmdet' else 'DumpResults', out_file_path=args.out)
        evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
        cfg.test_evaluator = [*evaluators, dump]
    if args.show_dir is not None or args.show:
        hook = cfg.default_hooks.get('visualization')
        if hook is None:
            sys.exit(f'--show and --show-dir need default_hooks.visualization, which {args.config} does not have')
        hook.update(draw=True, show=args.show, wait_time=args.wait_time)
        if args.show_dir is not None and cfg.default_scope == 'mmdet':
            hook.test_out_dir = args.show_dir
        elif args.show_dir is not None:
            # MMSegmentation's hook leaves the folder to the visualizer.
            cfg.visualizer.save_dir = osp.join(cfg.work_dir, args.show_dir)


def main() -> None:
    """Tests."""
    args = parse_args()
    with errors_in_one_sentence(args.config):
        cfg = load_config(args)
    prepare_distributed(cfg)
    with errors_in_one_sentence(cfg.work_dir):
        check_writable(cfg.work_dir)
        runner = Runner.from_cfg(cfg)
        if args.checkpoint is None and any(True for _ in runner.model.parameters()):
            sys.exit(f'Error: {args.config} needs a checkpoint: a model with random weights shows nothing')
        try:
            runner.test()
        except ValueError as error:
            # Data that cannot be used is the user's to mend; the message says all, a traceback would hide it.
            sys.exit(f'Error: {error}')
    leave_distributed()


if __name__ == '__main__':
    main()
