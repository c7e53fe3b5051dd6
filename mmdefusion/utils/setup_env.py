# Copyright (c) mmdefusion authors. All rights reserved.
"""What training and inference need of their process before a model is built."""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
from contextlib import suppress
from datetime import timedelta

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device

#: The variables of a torchrun worker and their names under Slurm.
_SLURM_VARIABLES = dict(RANK='SLURM_PROCID', WORLD_SIZE='SLURM_NTASKS', LOCAL_RANK='SLURM_LOCALID')

#: Variables of glibc's allocator that a user may have set, and its parameters of the same meaning (``malloc.h``): no
#: block is mapped apart, and nothing at the end of the heap is given back.
_MALLOC_VARIABLES = ('MALLOC_MMAP_MAX_', 'MALLOC_TRIM_THRESHOLD_')
_M_MMAP_MAX, _M_TRIM_THRESHOLD = -4, -1


def keep_freed_memory() -> None:
    """Lets the C library keep large blocks for the next step or image on a CPU, which asks for the same sizes.

    Otherwise each gets its activations as fresh pages from the system, which costs up to a fifth of the time. It holds
    for the whole process: for tools, not for libraries. Does nothing where the C library is not glibc, or where the
    user has set its variables.
    """
    if any(name in os.environ for name in _MALLOC_VARIABLES):
        return
    with suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  other libraries know other parameters
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)


def check_device(device: str | None) -> None:
    """Raises a ValueError if there is no such device here; None is PyTorch's default."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f'device {device!r} cannot be used ({reason}); expected for example cpu or cuda:0') from error


def prepare_distributed(cfg: Config) -> None:
    """Lets a config with a launcher run on CPUs: gloo as backend, and a model wrapper that names no device.

    ``env_cfg.dist_cfg.timeout`` in seconds holds here too: after so long without an answer a process gives up.

    MMEngine's launchers ask for an accelerator, and its default wrapper passes the rank as a device number. With an
    accelerator, or without a launcher, nothing happens here.

    Args:
        cfg: The run's own config; gets a ``model_wrapper_cfg`` unless it has one.

    Raises:
        RuntimeError: A variable that the launcher should have set is missing.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none' or get_device() != 'cpu':
        return
    if launcher == 'slurm':
        for name, slurm_name in _SLURM_VARIABLES.items():
            if slurm_name in os.environ:
                os.environ[name] = os.environ[slurm_name]
    missing = [name for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT') if name not in os.environ]
    if missing:
        raise RuntimeError(
            f'--launcher {launcher} without an accelerator needs the environment variables {missing}, which are not '
            'set; start through tools/dist_train.sh or torchrun'
        )
    timeout = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout')
    dist.init_process_group('gloo', timeout=None if timeout is None else timedelta(seconds=timeout))
    cfg.setdefault(
        'model_wrapper_cfg',
        dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        ),
    )


def leave_distributed() -> None:
    """Ends a process of a distributed run that is done, once all of them are.

    What is registered for the exit runs, but destructors do not: threads of gloo abort an exit now and then, and the
    launcher takes the run for failed.
    """
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def share_batch(cfg: Config, total_batch_size: int) -> None:
    """Gives every process its part of a batch, so that the number of processes changes neither steps nor epochs.

    Args:
        cfg: The run's own config; ``train_dataloader.batch_size`` is replaced.
        total_batch_size: Samples of a batch of all processes together.

    Raises:
        ValueError: The processes cannot have equal parts.
    """
    world_size = int(os.environ.get('WORLD_SIZE', 1)) if cfg.get('launcher', 'none') != 'none' else 1
    if total_batch_size < 1 or total_batch_size % world_size:
        raise ValueError(
            f'--total-batch-size is {total_batch_size}; expected a multiple of the number of processes, {world_size}'
        )
    cfg.train_dataloader.batch_size = total_batch_size // world_size
