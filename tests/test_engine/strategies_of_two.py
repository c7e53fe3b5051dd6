# Copyright (c) mmdefusion authors. All rights reserved.
"""Trains with several strategies in two processes; test_fully_shard_strategy.py starts it."""

import os
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from torch.distributed.tensor import DTensor

from mmdefusion.testing import tiny_model_cfg, tiny_training_cfg

DDP = dict(model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None))
FSDP = dict(runner_type='FlexibleRunner', strategy=dict(type='mmdefusion.FullyShardStrategy'))


def run(folder, name, parallel, resume=None):
    """Trains an epoch of ten batches of one sample in each process."""
    config = {**tiny_training_cfg(folder, max_epochs=1), **parallel, 'launcher': 'pytorch', 'experiment_name': name}
    config.update(work_dir=str(folder / name), resume=resume is not None, load_from=resume and str(folder / resume))
    config['train_dataloader']['batch_size'] = 1
    # A decoder with a scalar among its weights.
    config['model'] = tiny_model_cfg(detail_dims=4)
    config['default_hooks']['checkpoint']['interval'] = 6
    runner = RUNNERS.build(Config(config))
    runner.train()
    return runner


def main(rank, rendezvous, folder):
    folder = Path(folder)
    torch.set_num_threads(1)
    os.environ.update(LOCAL_RANK=str(rank))
    torch.distributed.init_process_group('gloo', f'file://{rendezvous}', rank=rank, world_size=2)
    run(folder, 'ddp', DDP)
    runner = run(folder, 'fsdp', FSDP)
    parts = [value.to_local().numel() for value in runner.model.parameters() if isinstance(value, DTensor)]
    state = runner.optim_wrapper.optimizer.state.values()
    parts += [value['exp_avg'].to_local().numel() for value in state]
    (folder / f'held_by_{rank}.txt').write_text(str(sum(parts)))
    run(folder, 'fsdp_resumed', FSDP, 'fsdp/iter_6.pth')
    run(folder, 'fsdp_from_ddp', FSDP, 'ddp/iter_6.pth')
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    # A copy of this process saves an import.
    pid = os.fork()
    main(int(pid != 0), *sys.argv[1:])
    sys.exit(bool(pid) and os.waitpid(pid, 0)[1] != 0)
