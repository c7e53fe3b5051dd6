# Copyright (c) mmdefusion authors. All rights reserved.
"""Statistics of the network's input."""

from __future__ import annotations

import torch
from torch import Tensor

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


def channel_statistics(channels: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of ImageNet for images in [0, 1], repeated to ``channels``, (C,) each."""
    repeats = -(-channels // 3)
    return tuple(torch.tensor(values * repeats)[:channels] for values in (_IMAGENET_MEAN, _IMAGENET_STD))


def normalize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """``(images - mean) / std`` in one pass over the images (N, C, H, W), whose size is that of several layers."""
    return torch.addcmul(-mean / std, images, 1 / std)
