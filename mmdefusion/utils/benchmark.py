# Copyright (c) mmdefusion authors. All rights reserved.
"""Measuring: time of alternatives, operations, peak memory, and the machine's own rates to compare with."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

#: Side of the square matrices whose product gives the machine's rate.
MATRIX_SIZE = 2048
#: PyTorch's operators of attention on a CPU: products of short sequences, and the kernel for long ones.
ATTENTION_OPERATORS = ('baddbmm', 'bmm', '_scaled_dot_product_flash_attention_for_cpu')
_CLEAR_PEAK = Path('/proc/self/clear_refs')
_STATUS = Path('/proc/self/status')


class Timing(NamedTuple):
    """Seconds of repeated runs.

    Attributes:
        median: Half of the runs took less.
        low: A quarter of the runs took less.
        high: A quarter of the runs took more.
        best: The quickest run.
        runs: How many there were, without warm-up.
    """

    median: float
    low: float
    high: float
    best: float
    runs: int


def time_alternately(
    functions: Mapping[str, Callable[[], object]],
    repeats: int = 10,
    warmup: int = 2,
    max_seconds: float = 30.0,
    device: str = 'cpu',
) -> dict[str, Timing]:
    """Time functions in turn, so that what else the machine does meets all of them alike.

    Args:
        functions: Functions by name.
        repeats: Runs of each.
        warmup: Runs of each beforehand, which do not count.
        max_seconds: No further round is begun after this time; one is always made.
        device: What to wait for at the end of a run.

    Returns:
        A timing for each name.
    """
    for _ in range(warmup):
        for function in functions.values():
            function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    begin = time.perf_counter()
    for turn in range(repeats):
        if turn and time.perf_counter() - begin > max_seconds:
            break
        for name, function in functions.items():
            _wait(device)
            start = time.perf_counter()
            function()
            _wait(device)
            seconds[name].append(time.perf_counter() - start)
    return {name: summarize(values) for name, values in seconds.items()}


def summarize(seconds: list[float]) -> Timing:
    """The statistics of some runs."""
    low, median, high = statistics.quantiles(seconds, n=4, method='inclusive') if len(seconds) > 1 else seconds * 3
    return Timing(median, low, high, min(seconds), len(seconds))


def _wait(device: str) -> None:
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize(device)


def _cpu_attention_flops(query, key, value, *args, out_shape=None, **kwargs) -> int:
    return sdpa_flop_count(query, key, value)


def count_flops_by_operator(function: Callable[[], object]) -> dict[str, int]:
    """Count floating-point operations of matrix products, convolutions and attention; an addition is one of its own.

    Args:
        function: What to run, once; backward passes in it count too.

    Returns:
        Operations by the name of PyTorch's operator, for example ``'convolution'``.
    """
    # PyTorch's counter has no formula for the attention kernel of CPUs.
    formulas = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _cpu_attention_flops}
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        function()
    return {operator.__name__: flops for operator, flops in counter.get_flop_counts()['Global'].items()}


def count_flops(function: Callable[[], object]) -> int:
    """The sum of :func:`count_flops_by_operator`."""
    return sum(count_flops_by_operator(function).values())


def count_flops_of_shape(network: Callable[[Tensor, Tensor], Tensor], height: int, width: int) -> dict[str, int]:
    """Count the operations of fusing one pair on a CPU by operator, without computing anything.

    Tensors without values go through the network, so that it does not matter what would fit or how long it would take.
    What the network caches for a size has no values either after this.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        sources = torch.empty(2, 1, 3, height, width)
        return count_flops_by_operator(lambda: network(*sources))


def peak_memory(function: Callable[[], object], device: str = 'cpu') -> int | None:
    """Bytes that a run takes at its peak beyond what was in use before; None where that cannot be measured.

    On CUDA it counts the allocator's memory, on Linux the process's resident memory.

    Args:
        function: What to run, once.
        device: Where it runs.
    """
    if torch.device(device).type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        function()
        _wait(device)
        return torch.cuda.max_memory_allocated(device) - before
    if not os.access(_CLEAR_PEAK, os.W_OK):
        return None
    # Memory that earlier runs gave back to the C library would hide what this one takes.
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    _CLEAR_PEAK.write_text('5')
    before = _resident('VmRSS')
    function()
    return max(0, _resident('VmHWM') - before)


def _resident(name: str) -> int:
    return 1024 * int(re.search(rf'{name}:\s+(\d+) kB', _STATUS.read_text())[1])


def matrix_product(dtype: torch.dtype, device: str = 'cpu') -> Callable[[], Tensor]:
    """A product of two large square matrices of ``MATRIX_SIZE``: the attainable rate of the machine."""
    left, right = (torch.randn(MATRIX_SIZE, MATRIX_SIZE, device=device).to(dtype) for _ in range(2))
    return lambda: left @ right


MATRIX_FLOPS = 2 * MATRIX_SIZE**3


class ConvStack(nn.Module):
    """A plain full-resolution fusion network of the size of IFCNN (Zhang et al. 2020), to compare speed with.

    A 7x7 and a 3x3 convolution on each source, the larger of both features, a 3x3 and a 1x1 convolution.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, padding=3), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1))
        self.decoder = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 3, 1))

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Two images (N, 3, H, W) -> (N, 3, H, W)."""
        return self.decoder(torch.maximum(self.stem(x1), self.stem(x2)))


class FusedOnly(nn.Module):
    """The network as a function of two tensors, as compilers and exporters want it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Two images (N, 3, H, W), RGB in [0, 1] -> (N, 3, H, W)."""
        return self.model.decode_fused(x1, x2)


def environment_line(device: str = 'cpu') -> str:
    """What was measured on, in one line: processor, threads, memory, versions."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.exists():
        found = re.search(r'model name\s*:\s*(.+)', cpuinfo.read_text())
        name = found[1] if found else name
    parts = [
        f'{name}, {os.cpu_count()} CPUs, {torch.get_num_threads()} threads',
        f'load {os.getloadavg()[0]:.1f}' if hasattr(os, 'getloadavg') else '',
        torch.cuda.get_device_name(device)
        if torch.device(device).type == 'cuda'
        else torch.backends.cpu.get_cpu_capability(),
        f'PyTorch {torch.__version__}',
        f'Python {platform.python_version()}',
        platform.platform(terse=True),
    ]
    return ', '.join(part for part in parts if part)
