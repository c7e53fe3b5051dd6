# Copyright (c) mmdefusion authors. All rights reserved.
"""Trains with several strategies in two processes, and before and after that in one; test_strategies.py starts it."""

import os
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from torch.distributed.tensor import DTensor

from mmdefusion.registry import TRANSFORMS
from mmdefusion.testing import tiny_model_cfg, tiny_training_cfg

DDP = dict(launcher='pytorch', model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None))
FSDP = dict(launcher='pytorch', runner_type='FlexibleRunner', strategy=dict(type='mmdefusion.FullyShardStrategy'))


@TRANSFORMS.register_module()
class SeeEverything:
    """Both views see the whole photo: there is no noise to draw."""

    def __call__(self, results):
        results['cud_masks'] = torch.ones(2, *results['img'].shape[:2], dtype=torch.uint8).numpy()
        return results


def make_config(folder, name, parallel, resume=None, batch_size=1):
    """Config of an epoch of ten batches of one sample in each process; a decoder has a scalar among its weights."""
    config = {**tiny_training_cfg(folder, max_epochs=1), **parallel, 'experiment_name': name}
    config.update(work_dir=str(folder / name), resume=resume is not None, load_from=resume and str(folder / resume))
    config['train_dataloader']['batch_size'] = batch_size
    config['model'] = tiny_model_cfg(detail_dims=4)
    config['default_hooks']['checkpoint']['interval'] = 6
    return config


def make_sure_config(*args, **options):
    """Two epochs that draw nothing which depends on the process: five batches of two samples in all.

    Steps are those of gradients as they are: Adam would make whole ones of what is zero but for rounding, and clipping
    would hide a wrong scale.
    """
    config = make_config(*args, **options)
    repeated = config['train_dataloader']['dataset']
    repeated['times'] = 1
    pipeline = repeated['dataset']['pipeline']
    pipeline[[step['type'] for step in pipeline].index('RandomCUDMasks')] = dict(type='SeeEverything')
    # Drops less than one of 16 tokens.
    config['model']['neck']['mask_ratio'] = 0.01
    config['optim_wrapper'].update(optimizer=dict(type='SGD', lr=4e-4, momentum=0.9), clip_grad=None)
    config['train_cfg']['max_epochs'] = 2
    config['default_hooks']['checkpoint']['interval'] = 4
    return config


def run(config):
    runner = RUNNERS.build(Config(config))
    runner.train()
    return runner


def accumulate(config, counts):
    """An epoch of steps of four samples, without what goes by iterations: learning rates and averaged weights."""
    config['optim_wrapper']['accumulative_counts'] = counts
    config['default_hooks']['checkpoint']['interval'] = counts
    config['train_cfg']['max_epochs'] = 1
    config['param_scheduler'] = []
    config['custom_hooks'] = [dict(type='ReproducibleRunHook')]
    return config


def main(rank, rendezvous, folder):
    folder = Path(folder)
    torch.set_num_threads(1)
    os.environ.update(LOCAL_RANK=str(rank))
    if rank == 0:
        # The other process waits for this one.
        run(make_sure_config(folder, 'one', {}, batch_size=2))
        run(accumulate(make_sure_config(folder, 'one_of_four', {}, batch_size=4), 1))
    torch.distributed.init_process_group('gloo', f'file://{rendezvous}', rank=rank, world_size=2)
    run(make_config(folder, 'ddp', DDP))
    checkpointed = make_config(folder, 'ddp_checkpointed', DDP)
    checkpointed['model']['backbone']['with_cp'] = True
    run(checkpointed)
    run(accumulate(make_sure_config(folder, 'ddp_accumulated', DDP), 2))
    run(make_sure_config(folder, 'ddp_from_one', DDP, 'one/iter_4.pth'))
    run(make_sure_config(folder, 'fsdp_from_one', FSDP, 'one/iter_4.pth'))
    runner = run(make_config(folder, 'fsdp', FSDP))
    parts = [value.to_local().numel() for value in runner.model.parameters() if isinstance(value, DTensor)]
    state = runner.optim_wrapper.optimizer.state.values()
    parts += [value['exp_avg'].to_local().numel() for value in state]
    (folder / f'held_by_{rank}.txt').write_text(str(sum(parts)))
    run(make_config(folder, 'fsdp_resumed', FSDP, 'fsdp/iter_6.pth'))
    run(make_config(folder, 'fsdp_from_ddp', FSDP, 'ddp/iter_6.pth'))
    torch.distributed.destroy_process_group()
    if rank == 0:
        run(make_sure_config(folder, 'one_from_ddp', {}, 'ddp_from_one/iter_8.pth', batch_size=2))
        run(make_sure_config(folder, 'one_from_fsdp', {}, 'fsdp_from_one/iter_8.pth', batch_size=2))


if __name__ == '__main__':
    # A copy of this process saves an import.
    pid = os.fork()
    main(int(pid != 0), *sys.argv[1:])
    sys.exit(bool(pid) and os.waitpid(pid, 0)[1] != 0)
