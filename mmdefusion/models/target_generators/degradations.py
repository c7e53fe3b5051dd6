# Copyright (c) mmdefusion authors. All rights reserved.
"""What a view shows where it does not see the photo. All random numbers come from the device's default generator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Range of the standard deviation of the blur in pixels.
BLUR_SIGMA = (0.8, 4.0)
#: Range of the factor on the light (under-exposure), or of one over it (over-exposure).
EXPOSURE_GAIN = (0.1, 0.7)
#: Range of the factors on the bands of a Laplacian pyramid, and the number of bands.
CONTRAST_GAIN = (0.0, 0.7)
CONTRAST_BANDS = 4


def noise(img: Tensor) -> Tensor:
    """``clamp(|N(0, 1)|, 0, 1)``: nothing of the photo is left, (N, C, H, W) -> (N, C, H, W)."""
    return torch.randn_like(img).abs_().clamp_(max=1)


def blur(img: Tensor) -> Tensor:
    """Gaussian blur, for each photo of its own strength: (N, C, H, W) -> (N, C, H, W)."""
    batch, channels, height, width = img.shape
    low, high = BLUR_SIGMA
    sigma = low + (high - low) * torch.rand(batch, 1, device=img.device)
    # Reflection needs a border narrower than the image.
    radius = min(int(3 * high), height - 1, width - 1)
    offset = torch.arange(-radius, radius + 1, device=img.device)
    kernel = torch.exp(-0.5 * (offset / sigma) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)[:, None].to(img.dtype)
    x = F.pad(img.reshape(1, -1, height, width), [radius] * 4, mode='reflect')
    # Autocast would round the picture to bfloat16.
    with torch.autocast(img.device.type, enabled=False):
        x = F.conv2d(x, kernel[..., None], groups=batch * channels)
        return F.conv2d(x, kernel[..., None, :], groups=batch * channels).view_as(img)


def exposure(img: Tensor) -> Tensor:
    """Under-exposure or, as often, over-exposure with saturation: (N, C, H, W) -> (N, C, H, W)."""
    low, high = EXPOSURE_GAIN
    shape = (img.size(0), 1, 1, 1)
    gain = low + (high - low) * torch.rand(shape, device=img.device)
    over = torch.rand(shape, device=img.device) < 0.5
    return (img * torch.where(over, 1 / gain, gain).to(img.dtype)).clamp_(max=1)


def contrast(img: Tensor) -> Tensor:
    """Each of the finest bands of the Laplacian pyramid weakened by a factor of its own: (N, C, H, W) -> (N, C, H, W).

    Brightness stays as it is.
    """
    low, high = CONTRAST_GAIN
    levels = [img]
    for _ in range(CONTRAST_BANDS):
        levels.append(F.avg_pool2d(levels[-1], 2, ceil_mode=True))
    result = levels[-1]
    for coarser, finer in zip(levels[:0:-1], levels[-2::-1], strict=True):
        size = dict(size=finer.shape[-2:], mode='bilinear', align_corners=False)
        gain = low + (high - low) * torch.rand(img.size(0), 1, 1, 1, device=img.device)
        band = finer - F.interpolate(coarser, **size)
        result = F.interpolate(result, **size) + gain.to(img.dtype) * band
    return result.clamp_(0, 1)


DEGRADATIONS = dict(noise=noise, blur=blur, exposure=exposure, contrast=contrast)
#: Those that show in a view itself, even where the photo is smooth.
DECOMPOSABLE = ('noise', 'exposure')
