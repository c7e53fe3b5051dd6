# Copyright (c) mmdefusion authors. All rights reserved.
"""Augmentations that work on any number of channels, and the photometric jitter of pretraining."""

from __future__ import annotations

import math

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmdefusion.evaluation.functional import to_luma
from mmdefusion.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomResizedCrop(BaseTransform):
    """Crops a random part of random size and aspect ratio and resizes it (Szegedy et al. 2015), for any channels.

    Required Keys:

    - img: (H, W, C)

    Modified Keys:

    - img: (scale, scale, C)
    - img_shape

    Args:
        scale: Side of the result in pixels.
        crop_ratio_range: Range of the crop's share of the image's area.
        aspect_ratio_range: Range of the crop's width over its height.
    """

    def __init__(
        self,
        scale: int,
        crop_ratio_range: tuple[float, float] = (0.08, 1.0),
        aspect_ratio_range: tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        self.scale = scale
        self.crop_ratio_range = tuple(crop_ratio_range)
        self.aspect_ratio_range = tuple(aspect_ratio_range)

    def _crop_box(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, left, height and width of the crop; the largest central one if ten draws do not fit."""
        log_ratio = np.log(self.aspect_ratio_range)
        for _ in range(10):
            area = height * width * np.random.uniform(*self.crop_ratio_range)
            ratio = math.exp(np.random.uniform(*log_ratio))
            crop_w, crop_h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < crop_w <= width and 0 < crop_h <= height:
                top = np.random.randint(0, height - crop_h + 1)
                return top, np.random.randint(0, width - crop_w + 1), crop_h, crop_w
        crop_w = min(width, round(height * self.aspect_ratio_range[1]))
        crop_h = min(height, round(width / self.aspect_ratio_range[0]))
        return (height - crop_h) // 2, (width - crop_w) // 2, crop_h, crop_w

    def transform(self, results: dict) -> dict:
        """Crops and resizes ``img``."""
        image = results['img']
        top, left, height, width = self._crop_box(*image.shape[:2])
        crop = image[top : top + height, left : left + width]
        # Area averaging does not alias, but cannot enlarge.
        method = cv2.INTER_AREA if min(height, width) >= self.scale else cv2.INTER_LINEAR
        results['img'] = _resize(crop, (self.scale, self.scale), method)
        results['img_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(scale={self.scale}, crop_ratio_range={self.crop_ratio_range}, '
            f'aspect_ratio_range={self.aspect_ratio_range})'
        )


def _resize(image: np.ndarray, size: tuple[int, int], method: int) -> np.ndarray:
    """``cv2.resize`` to (height, width); OpenCV's area method takes no more than four channels at once."""
    groups = np.array_split(image, -(-image.shape[2] // 3), axis=2)
    resized = [cv2.resize(np.ascontiguousarray(group), size[::-1], interpolation=method) for group in groups]
    return np.concatenate([group.reshape(*size, -1) for group in resized], axis=2)


@TRANSFORMS.register_module()
class PhotometricJitter(BaseTransform):
    """Dims, flattens and bleaches a photo at random, which makes pretraining robust to exposure.

    Brightness, contrast and saturation are scaled in random order by factors from their ranges, with the definitions of
    torchvision's ``ColorJitter``: towards black, towards the mean luma, and towards the pixel's luma. Before that the
    values, as shares of 255, are raised to the power of gamma: a large one makes day to a night with lamps.

    Required Keys:

    - img: (H, W, 3) uint8 BGR

    Modified Keys:

    - img

    Args:
        brightness: Range of the factor of brightness.
        contrast: Range of the factor of contrast.
        saturation: Range of the factor of saturation.
        gamma: Range of the exponent, drawn evenly from its logarithms.
    """

    def __init__(
        self,
        brightness: tuple[float, float] = (0.1, 1.0),
        contrast: tuple[float, float] = (0.1, 1.0),
        saturation: tuple[float, float] = (0.1, 1.0),
        gamma: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        self.brightness = tuple(brightness)
        self.contrast = tuple(contrast)
        self.saturation = tuple(saturation)
        self.gamma = tuple(gamma)

    def transform(self, results: dict) -> dict:
        """Jitters ``img``."""
        gamma = math.exp(np.random.uniform(*np.log(self.gamma)))
        image = 255 * (results['img'].astype(np.float32) / 255) ** gamma
        for step in np.random.permutation(3):
            if step == 0:
                image *= np.random.uniform(*self.brightness)
            elif step == 1:
                factor = np.random.uniform(*self.contrast)
                image = image * factor + (1 - factor) * cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).mean()
            else:
                factor = np.random.uniform(*self.saturation)
                image = image * factor + (1 - factor) * cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None]
        results['img'] = np.rint(image).clip(0, 255).astype(results['img'].dtype)
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(brightness={self.brightness}, contrast={self.contrast}, '
            f'saturation={self.saturation}, gamma={self.gamma})'
        )


@TRANSFORMS.register_module()
class RandomInvert(BaseTransform):
    """Replaces a photo by its negative at random: infrared images often show dark what photos show bright.

    Required Keys:

    - img: (H, W, C) uint8

    Modified Keys:

    - img

    Args:
        prob: Probability of the negative.
    """

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Inverts ``img``, or leaves it."""
        if np.random.rand() < self.prob:
            results['img'] = 255 - results['img']
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob})'


@TRANSFORMS.register_module()
class SourcesToLuma(BaseTransform):
    """Replaces each source by its 8-bit luma, three times, as benchmarks of fusion do.

    Required Keys:

    - img: (H, W, 3k) BGR, k sources

    Modified Keys:

    - img: (H, W, 3k) uint8, the three channels of a source alike
    - gt_fused (optional): (H, W, 3), as the sources
    """

    def transform(self, results: dict) -> dict:
        """Replaces the sources in ``img``, and the truth."""
        for key in {'img', 'gt_fused'} & results.keys():
            images = np.split(results[key], results[key].shape[2] // 3, axis=2)
            lumas = [to_luma(image).astype(np.uint8) for image in images]
            results[key] = np.repeat(np.stack(lumas, axis=2), 3, axis=2)
        return results
