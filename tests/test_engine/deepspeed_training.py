# Copyright (c) mmdefusion authors. All rights reserved.
"""Trains with DeepSpeed in one process; test_deepspeed.py starts it."""

import os
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from mmdefusion.testing import tiny_training_cfg

STRATEGY = Path(__file__).resolve().parents[2] / 'configs/_base_/strategies/deepspeed.py'


def main(folder, port):
    os.environ.update(RANK='0', WORLD_SIZE='1', LOCAL_RANK='0', MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
    torch.distributed.init_process_group('gloo')
    config = {**tiny_training_cfg(folder, max_epochs=1), **Config.fromfile(STRATEGY), 'launcher': 'pytorch'}
    config['optim_wrapper'] = dict(type='DeepSpeedOptimWrapper', optimizer=dict(type='AdamW', lr=1e-3))
    config['custom_hooks'] = [dict(type='ReproducibleRunHook')]
    config['default_hooks']['checkpoint']['interval'] = 10
    RUNNERS.build(Config(config)).train()


if __name__ == '__main__':
    main(*sys.argv[1:])
