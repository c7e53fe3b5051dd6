# Copyright (c) mmdefusion authors. All rights reserved.
"""Mixed precision on any device."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn

from mmdefusion.registry import OPTIM_WRAPPERS
from mmdefusion.utils.precision import emulates_bfloat16


def autocast_dtype(dtype: str, device_type: str) -> torch.dtype | None:
    """The type to autocast to, None for full precision.

    Args:
        dtype: ``'bfloat16'``, ``'float32'``, or ``'auto'``: bfloat16 on a CPU that has instructions for it, full
            precision elsewhere.
        device_type: ``'cpu'``, ``'cuda'``, ...

    Raises:
        ValueError: Another ``dtype``.

    Warns:
        UserWarning: bfloat16 is asked for on a CPU that emulates it.
    """
    emulated = emulates_bfloat16(device_type)
    if dtype == 'auto':
        return torch.bfloat16 if device_type == 'cpu' and not emulated else None
    if dtype not in ('bfloat16', 'float32'):
        raise ValueError(f"dtype must be 'auto', 'bfloat16' or 'float32', got {dtype!r}")
    if dtype == 'bfloat16' and emulated:
        warnings.warn(
            'this CPU has no instructions for bfloat16, in which matrix products are many times slower here than in '
            "float32; 'auto' chooses the quicker one",
            stacklevel=2,
        )
    return torch.bfloat16 if dtype == 'bfloat16' else None


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Optimizer wrapper that runs the forward pass under bfloat16 autocast, on a CPU too.

    MMEngine's ``AmpOptimWrapper`` asks for an accelerator. bfloat16 needs no loss scaling, so this is ``OptimWrapper``
    with an autocast context.

    Args:
        dtype: See :func:`autocast_dtype`.
        **kwargs: Arguments of ``OptimWrapper``: ``optimizer``, ``accumulative_counts``, ``clip_grad``.
    """

    def __init__(self, dtype: str = 'auto', **kwargs) -> None:
        super().__init__(**kwargs)
        self.device_type = torch.device(get_device()).type
        self.dtype = autocast_dtype(dtype, self.device_type)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocasts within the context of the base class."""
        with super().optim_context(model), torch.autocast(self.device_type, self.dtype, enabled=self.dtype is not None):
            yield
