# Copyright (c) mmdefusion authors. All rights reserved.
"""Measures how a pretraining step speeds up with the number of processes, and how much the processes talk."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from mmengine.config import Config, DictAction
from mmengine.device import is_cuda_available
from mmengine.dist import get_dist_info
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mmdefusion.datasets.transforms import RandomCUDMasks
from mmdefusion.engine.optimizers import autocast_dtype
from mmdefusion.engine.strategies.fully_shard_strategy import UNITS, shard_model
from mmdefusion.evaluation.report import write_json
from mmdefusion.structures import FusionDataSample
from mmdefusion.utils.benchmark import environment_line
from mmdefusion.utils.output_files import output_file


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description='Measure pretraining steps of one and of several processes')
    parser.add_argument('config', help='config of the network, for example configs/_base_/models/defusion-pp_nano.py')
    parser.add_argument('--processes', nargs='+', type=int, default=[1, 2], help='numbers to compare (default 1 2)')
    parser.add_argument('--strategy', choices=('ddp', 'fsdp'), default='ddp', help='default ddp')
    parser.add_argument('--batch-size', type=int, default=16, help='photos of a step of one process (default 16)')
    parser.add_argument('--crop-size', type=int, default=224, help='their side in pixels (default 224)')
    parser.add_argument('--steps', type=int, default=10, help='timed steps (default 10)')
    parser.add_argument('--warmup', type=int, default=3, help='steps before (default 3)')
    parser.add_argument('--threads', type=int, default=1, help='threads of one process (default 1)')
    parser.add_argument('--out', type=output_file, help='JSON file to write')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='override settings of the config')
    args = parser.parse_args()
    if min(*args.processes, args.batch_size, args.crop_size, args.steps, args.threads) < 1 or args.warmup < 0:
        parser.error('--processes, --batch-size, --crop-size, --steps and --threads count from 1, --warmup from 0')
    return args


def make_batch(batch_size: int, side: int, device: str) -> tuple[Tensor, list[FusionDataSample]]:
    """Photos of noise and their masks."""
    draw = RandomCUDMasks()
    samples = []
    for _ in range(batch_size):
        masks = draw.transform(dict(img=np.zeros((side, side, 3))))['cud_masks']
        samples.append(FusionDataSample(cud_masks=torch.from_numpy(masks)).to(device))
    return torch.rand(batch_size, 3, side, side, device=device), samples


class Traffic:
    """Bytes that this process sends in ring algorithms, counted where gradients and parameters are exchanged."""

    def __init__(self) -> None:
        self.bytes = 0.0

    def add(self, tensor: Tensor, passes: int) -> None:
        """A tensor, whole, goes around the ring ``passes`` times."""
        world_size = get_dist_info()[1]
        self.bytes += passes * (world_size - 1) / world_size * tensor.numel() * tensor.element_size()

    # DDP refuses annotations that are strings, as all are in this file.
    def reduce_bucket(self, state, bucket):
        """Communication hook of DDP: the mean of the gradients."""
        self.add(bucket.buffer(), passes=2)
        bucket.buffer().div_(get_dist_info()[1])
        return dist.all_reduce(bucket.buffer(), async_op=True).get_future().then(lambda future: future.value()[0])

    def watch(self, name: str, whole: int) -> None:
        """Counts a collective of torch.distributed, the whole tensor being argument number ``whole``."""
        collective = getattr(dist, name)

        def counted(*args, **kwargs) -> object:
            tensors = [*args, *kwargs.values()]
            self.add(tensors[whole], passes=1)
            return collective(*args, **kwargs)

        setattr(dist, name, counted)


def spread(model: nn.Module, strategy: str, traffic: Traffic) -> nn.Module:
    """Wraps or shards a model for the process group."""
    if strategy == 'fsdp':
        # The output comes first in both; the whole tensor is that of a gathering, and what goes into a scattering.
        traffic.watch('all_gather_single' if hasattr(dist, 'all_gather_single') else 'all_gather_into_tensor', 0)
        traffic.watch('reduce_scatter_single' if hasattr(dist, 'reduce_scatter_single') else 'reduce_scatter_tensor', 1)
        return shard_model(model, UNITS)
    model = DistributedDataParallel(model)
    model.register_comm_hook(None, traffic.reduce_bucket)
    return model


def make_step(args: argparse.Namespace, device: str, traffic: Traffic) -> Callable[[], None]:
    """A training step on a batch that stays the same."""
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    init_default_scope('mmdefusion')
    model = MODELS.build(cfg.model).to(device).train()
    if get_dist_info()[1] > 1:
        model = spread(model, args.strategy, traffic)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    photos, samples = make_batch(args.batch_size, args.crop_size, device)
    kind = torch.device(device).type
    dtype = autocast_dtype('auto' if kind == 'cpu' else 'bfloat16', kind)

    def step() -> None:
        with torch.autocast(kind, dtype or torch.bfloat16, enabled=dtype is not None):
            losses = model(photos, samples, mode='loss')
        sum(losses.values()).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def work(rank: int, processes: int, args: argparse.Namespace, folder: str) -> None:
    """What one process does; the first one writes down seconds of the steps and bytes of one."""
    torch.set_num_threads(args.threads)
    device = f'cuda:{rank}' if is_cuda_available() else 'cpu'
    if device != 'cpu':
        torch.cuda.set_device(rank)
    if processes > 1:
        dist.init_process_group(
            'gloo' if device == 'cpu' else 'nccl', f'file://{folder}/meet', rank=rank, world_size=processes
        )
    torch.manual_seed(rank)
    traffic, seconds, processor_seconds = Traffic(), [], []
    step = make_step(args, device, traffic)
    for number in range(args.warmup + args.steps):
        traffic.bytes = 0.0
        begin, processor_begin = time.perf_counter(), time.process_time()
        step()
        if device != 'cpu':
            torch.cuda.synchronize()
        if number >= args.warmup:
            seconds.append(time.perf_counter() - begin)
            processor_seconds.append(time.process_time() - processor_begin)
    if rank == 0:
        found = dict(seconds=seconds, processor_seconds=processor_seconds, bytes_sent=traffic.bytes)
        torch.save(found, Path(folder, 'found.pth'))


def measure(processes: int, args: argparse.Namespace) -> dict:
    """Runs steps with so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        children = []
        for rank in range(processes):
            pid = os.fork()
            if not pid:
                status = 1
                try:
                    work(rank, processes, args, folder)
                    status = 0
                except Exception:
                    traceback.print_exc()
                finally:
                    os._exit(status)
            children.append(pid)
        if any([os.waitpid(pid, 0)[1] for pid in children]):
            sys.exit(f'one of {processes} processes failed')
        found = torch.load(Path(folder, 'found.pth'), weights_only=True)
    median = statistics.median(found['seconds'])
    rate = processes * args.batch_size / median
    return dict(processes=processes, median_seconds=median, photos_per_second=rate, **found)


def main() -> int:
    """Measures and prints a line for each number of processes."""
    args = parse_args()
    os.environ.setdefault('OMP_NUM_THREADS', str(args.threads))
    print(environment_line())
    results = []
    for processes in args.processes:
        found = measure(processes, args)
        first = results[0] if results else found
        ratio = found['photos_per_second'] / first['photos_per_second'] * first['processes'] / processes
        results.append(dict(found, efficiency=ratio))
        print(
            f'{processes} processes: {found["photos_per_second"]:.2f} photos/s, median step '
            f'{found["median_seconds"]:.3f} s, of a processor '
            f'{statistics.median(found["processor_seconds"]):.3f} s, efficiency {ratio:.0%}, each sends '
            f'{found["bytes_sent"] / 2**20:.1f} MiB a step',
            flush=True,
        )
    if args.out:
        write_json(args.out, dict(environment=environment_line(), strategy=args.strategy, results=results))
    return 0


if __name__ == '__main__':
    sys.exit(main())
