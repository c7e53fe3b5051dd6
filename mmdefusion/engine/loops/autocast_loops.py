# Copyright (c) mmdefusion authors. All rights reserved.
"""Validation and testing in the type that a network is trained in by default."""

from __future__ import annotations

import torch
from mmengine.device import get_device
from mmengine.runner import TestLoop, ValLoop

from mmdefusion.engine.optimizers.autocast_optim_wrapper import autocast_dtype
from mmdefusion.registry import LOOPS


def _autocasts() -> bool:
    return autocast_dtype('auto', torch.device(get_device()).type) is not None


@LOOPS.register_module()
class AutocastValLoop(ValLoop):
    """Validation in bfloat16 on a CPU that has instructions for it, in float32 elsewhere.

    ``ValLoop(fp16=True)`` autocasts on every CPU, and one without the instructions is many times slower by it.

    Args:
        *args: Arguments of ``ValLoop``.
        **kwargs: The same, by name.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, fp16=_autocasts(), **kwargs)


@LOOPS.register_module()
class AutocastTestLoop(TestLoop):
    """Testing as :class:`AutocastValLoop` validates.

    Args:
        *args: Arguments of ``TestLoop``.
        **kwargs: The same, by name.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, fp16=_autocasts(), **kwargs)
