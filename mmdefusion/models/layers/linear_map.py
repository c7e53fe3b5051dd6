# Copyright (c) mmdefusion authors. All rights reserved.
"""Linear maps of tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``F.linear`` of tokens (N, L, D) by the quickest kernel of the device.

    In bfloat16 on a CPU PyTorch writes the bias to the whole result first and adds the product to it; its convolution
    adds the bias on the way, which saves a tenth to a quarter of the time.
    """
    if x.device.type != 'cpu' or x.dtype != torch.bfloat16 or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return F.linear(x, weight, bias)
    # One row of pixels an image, channels last.
    return F.conv2d(x[:, None].permute(0, 3, 1, 2), weight[..., None, None], bias).permute(0, 2, 3, 1)[:, 0]


class Linear(nn.Linear):
    """``nn.Linear`` of tokens (N, L, D), see :func:`linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, D) -> (N, L, D')."""
        return linear(x, self.weight, self.bias)
