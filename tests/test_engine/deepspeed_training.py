# Copyright (c) mmdefusion authors. All rights reserved.
"""Trains with DeepSpeed in two processes, and without it in one; test_deepspeed.py starts it.

It does so anew for each run, because MMEngine allows one strategy of DeepSpeed in a process.
"""

import os
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from strategies_of_two import make_sure_config, run

STRATEGY = Path(__file__).resolve().parents[2] / 'configs/_base_/strategies/deepspeed.py'


def make_plain_config(*args, **options):
    """Without averaged weights, which DeepSpeed would not save."""
    config = make_sure_config(*args, **options)
    config['custom_hooks'] = [dict(type='ReproducibleRunHook')]
    return config


def make_deepspeed_config(folder, name, resume=None):
    """The same with DeepSpeed, which clips nothing either."""
    parallel = dict(launcher='pytorch', **Config.fromfile(STRATEGY))
    config = make_plain_config(folder, name, parallel, resume)
    config['strategy'].update(gradient_clipping=0.0, config=dict(zero_allow_untested_optimizer=True))
    optimizer = config['optim_wrapper']['optimizer']
    config['optim_wrapper'] = dict(type='DeepSpeedOptimWrapper', optimizer=optimizer)
    return config


def main(rank, folder, port, name, resume=None):
    folder = Path(folder)
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), WORLD_SIZE='2', LOCAL_RANK=str(rank), MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
    torch.distributed.init_process_group('gloo')
    runner = run(make_deepspeed_config(folder, name, resume))
    torch.distributed.destroy_process_group()
    if rank == 0:
        torch.save(runner.model.module.state_dict(), folder / f'{name}.pth')
        if resume is None:
            run(make_plain_config(folder, 'one', {}, batch_size=2))


if __name__ == '__main__':
    # A copy of this process saves an import.
    pid = os.fork()
    main(int(pid != 0), *sys.argv[1:])
    sys.exit(bool(pid) and os.waitpid(pid, 0)[1] != 0)
