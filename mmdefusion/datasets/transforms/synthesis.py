# Copyright (c) mmdefusion authors. All rights reserved.
"""Pairs with a known truth, made from any photo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mmdefusion.registry import TRANSFORMS

from ..synthesis import FAMILIES, Camera, defocus, draw_disparity, smooth_noise

#: Two settings of the lens on a scene of disparities 0 to 1: each keeps one half of them sharp, so that fusion can
#: recover the photo, except close to borders of depth.
FOCUS = (0.75, 0.25)
DEPTH_OF_FIELD = 0.25


class _RandomPair(BaseTransform):
    """What both kinds of pair have in common: a random camera, a random order, and where the results go.

    Args:
        full_well: Range of the electrons that saturate a pixel, drawn evenly on a logarithmic scale; more means less
            noise. A pixel of an image that was scaled down stands for many of the sensor's.
    """

    def __init__(self, full_well: tuple[float, float]) -> None:
        self.full_well = tuple(full_well)

    def transform(self, results: dict) -> dict:
        """Makes the pair, with random numbers that start from ``numpy.random``."""
        rng = np.random.default_rng(np.random.randint(0, 2**32, dtype=np.uint32))
        camera = Camera(
            gamma=rng.uniform(1.9, 2.4),
            contrast=rng.uniform(0, 0.4),
            full_well=np.exp(rng.uniform(*np.log(self.full_well))),
        )
        photo = results['img']
        if photo.ndim != 3 or photo.shape[2] != 3:
            raise ValueError(f'{results.get("img_path")}: image of shape {photo.shape}; expected a photo (H, W, 3)')
        sources = self.make_sources(photo, camera, rng)
        results['img'] = np.concatenate(sources[:: rng.choice([1, -1])], axis=2)
        results['gt_fused'] = photo
        return results

    def make_sources(self, photo: np.ndarray, camera: Camera, rng: np.random.Generator) -> list[np.ndarray]:
        """Two pictures of the photo's scene, (H, W, 3) uint8 BGR."""
        raise NotImplementedError


@TRANSFORMS.register_module()
class RandomMultiFocusPair(_RandomPair):
    """Makes a multi-focus pair from a photo, which is the truth.

    The photo gets a made-up depth and is photographed twice through a lens of shallow depth of field, focused on what
    is near and on what is far, in linear light: blur is a disc that grows with the distance from the focus, foreground
    and background mix at borders of depth as behind a lens, and either picture has its own sensor noise.

    Required Keys:

    - img: (H, W, 3) BGR, 0 to 255

    Modified Keys:

    - img: (H, W, 6) uint8, both sources in random order

    Added Keys:

    - gt_fused: the photo

    Args:
        families: Kinds of depth to draw from, see :func:`mmdefusion.datasets.synthesis.draw_disparity`.
        max_radius: Range of the radius of the largest blur disc, as a share of the photo's shorter side.
        full_well: Range of the electrons that saturate a pixel; more means less noise.
    """

    def __init__(
        self,
        families: Sequence[str] = tuple(FAMILIES),
        max_radius: tuple[float, float] = (0.008, 0.025),
        full_well: tuple[float, float] = (4e3, 4e4),
    ) -> None:
        super().__init__(full_well)
        unknown = sorted(set(families) - set(FAMILIES))
        if unknown or not families:
            raise ValueError(f'families: found {list(families)}; expected some of {list(FAMILIES)}')
        self.families = tuple(families)
        self.max_radius = tuple(max_radius)

    def make_sources(self, photo: np.ndarray, camera: Camera, rng: np.random.Generator) -> list[np.ndarray]:
        """The picture focused on what is near, then the one focused on what is far."""
        disparity = draw_disparity(photo.astype(np.uint8), self.families[rng.integers(len(self.families))], rng)
        # The farthest is 0.75 - 0.25 away from where the near focus begins to blur.
        strength = rng.uniform(*self.max_radius) * min(photo.shape[:2]) / (FOCUS[0] - DEPTH_OF_FIELD)
        light = camera.linearize(photo)
        return [camera.photograph(defocus(light, disparity, focus, strength, DEPTH_OF_FIELD), rng) for focus in FOCUS]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(families={self.families}, max_radius={self.max_radius})'


@TRANSFORMS.register_module()
class RandomMultiExposurePair(_RandomPair):
    """Makes a multi-exposure pair from a photo, which is the truth.

    The photo's light is photographed with a short and with a long exposure: shadows drown in noise and in the steps of
    8 bits, highlights saturate. Uneven light, which the truth does not have, makes the scene's contrast larger
    than that of the photo.

    Required Keys:

    - img: (H, W, 3) BGR, 0 to 255

    Modified Keys:

    - img: (H, W, 6) uint8, both sources in random order

    Added Keys:

    - gt_fused: the photo

    Args:
        under: Range of the short exposure in stops (factors of two) relative to the photo's.
        over: Range of the long exposure.
        light_range: Range of the difference in stops between the best and the least lit place.
        full_well: Range of the electrons that saturate a pixel; more means less noise.
    """

    def __init__(
        self,
        under: tuple[float, float] = (-3.5, -1.5),
        over: tuple[float, float] = (1.0, 2.5),
        light_range: tuple[float, float] = (0.0, 1.5),
        full_well: tuple[float, float] = (4e3, 4e4),
    ) -> None:
        super().__init__(full_well)
        self.under = tuple(under)
        self.over = tuple(over)
        self.light_range = tuple(light_range)

    def make_sources(self, photo: np.ndarray, camera: Camera, rng: np.random.Generator) -> list[np.ndarray]:
        """The under-exposed picture, then the over-exposed one."""
        stops = rng.uniform(*self.light_range) * (smooth_noise(photo.shape[:2], 3, rng) - 0.5)
        light = camera.linearize(photo) * (2**stops)[..., None]
        return [camera.photograph(light * 2 ** rng.uniform(*stops), rng) for stops in (self.under, self.over)]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(under={self.under}, over={self.over}, light_range={self.light_range})'
