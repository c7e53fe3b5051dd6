# Copyright (c) mmdefusion authors. All rights reserved.
"""Steps of DeepSpeed in several processes of CPUs."""

from __future__ import annotations

import torch
from mmengine._strategy import deepspeed

from mmdefusion.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class DeepSpeedOptimWrapper(deepspeed.DeepSpeedOptimWrapper):
    """MMEngine's optimizer wrapper for DeepSpeed, whose steps no gradients are recorded of.

    After a step DeepSpeed gathers the weights of all processes into views of one tensor. Over gloo PyTorch 2.13 takes
    that for a part of the network, and raises an error.

    Args:
        optimizer: See the base class.
    """

    @torch.no_grad()
    def step(self, **kwargs) -> None:
        """Updates the weights."""
        super().step(**kwargs)
