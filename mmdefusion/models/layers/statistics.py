# Copyright (c) mmdefusion authors. All rights reserved.
"""Statistics of the network's input."""

from __future__ import annotations

import torch
from torch import Tensor

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_LUMA = (0.299, 0.587, 0.114)


def channel_statistics(channels: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of ImageNet for images in [0, 1], repeated to ``channels``, (C,) each."""
    repeats = -(-channels // 3)
    return tuple(torch.tensor(values * repeats)[:channels] for values in (_IMAGENET_MEAN, _IMAGENET_STD))


def normalize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """``(images - mean) / std`` in one pass over the images (N, C, H, W), whose size is that of several layers.

    It is of the type that autocast gives to products, so that no copy of the images afterwards is larger than that.
    """
    images = torch.addcmul(-mean / std, images, 1 / std)
    device = images.device.type
    return images.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else images


def luma(images: Tensor) -> Tensor:
    """Luma of RGB images by ITU-R BT.601, mean of other numbers of channels, (N, C, H, W) -> (N, 1, H, W)."""
    if images.size(1) != len(_LUMA):
        return images.mean(1, keepdim=True)
    return (images * images.new_tensor(_LUMA).view(1, -1, 1, 1)).sum(1, keepdim=True)
