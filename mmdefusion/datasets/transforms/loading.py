# Copyright (c) mmdefusion authors. All rights reserved.
"""Loading of the second image of a pair and of the truth."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform

from mmdefusion.registry import TRANSFORMS
from mmdefusion.utils.image_io import read_image
from mmdefusion.utils.pair_guards import guard_stock_preprocessors

from .pair_results import PairResults


@TRANSFORMS.register_module()
class LoadPairedImage(BaseTransform):
    """Load the partner of an image and stack both by channel.

    It follows the stock ``LoadImageFromFile`` and leaves a six-channel ``img``, so every channel-agnostic transform of
    the host applies the same geometry to both images. An ``img`` that has six channels already, as an array given to
    an inferencer may, passes through. From here on, a transform that loses a source raises, see :class:`PairResults`.

    Required Keys:

    - img: (H, W, 3) BGR of the first source, or (H, W, 6)
    - img_path
    - partner_path (optional): where the partner is; without it, ``path_map`` tells

    Modified Keys:

    - img: (H, W, 6), BGR of the first source, then BGR of the second, values 0..255; uint8, or float32 when the
      partner has 16 bits

    Added Keys:

    - partner_path

    Args:
        path_map: Two strings: the partner's path is ``img_path`` with the last occurrence of the first replaced by
            the second, for example ``('/visible/', '/infrared/')`` or ``('_RGB.jpg', '_IR.png')``.
    """

    def __init__(self, path_map: tuple[str, str] = ('/vi/', '/ir/')) -> None:
        if isinstance(path_map, str) or len(path_map) != 2 or not path_map[0]:
            raise ValueError(f'path_map must be two strings, the first not empty, found {path_map!r}')
        self.path_map = tuple(path_map)
        guard_stock_preprocessors()

    def transform(self, results: dict) -> dict:
        """Add the partner to ``results['img']``.

        Args:
            results: Result dict of one sample.

        Returns:
            The sample with the pair.

        Raises:
            ValueError: If the partner's path cannot be told, or the partner differs in size.
            ImageReadError: If the partner is missing or cannot be read.
        """
        image = results['img']
        channels = image.shape[2] if image.ndim == 3 else 1
        if channels == 6:
            return PairResults(results)
        if channels != 3:
            raise ValueError(
                f'{results.get("img_path")}: image of shape {image.shape}; expected (H, W, 3) from LoadImageFromFile '
                '(color_type="color"), or both sources as (H, W, 6)'
            )
        path = results.get('partner_path') or self._partner_path(results.get('img_path'))
        partner = read_image(path).bgr
        if partner.shape[:2] != image.shape[:2]:
            raise ValueError(
                f'{path}: {partner.shape[1]} x {partner.shape[0]} pixels (width x height); expected the size of its '
                f'partner {results["img_path"]}, {image.shape[1]} x {image.shape[0]}'
            )
        results['img'] = np.concatenate([image, partner], axis=2)
        results['partner_path'] = path
        return PairResults(results)

    def _partner_path(self, img_path: str | None) -> str:
        if not img_path:
            raise ValueError(
                'an image of 3 channels that has no path has no partner; pass both sources as one (H, W, 6) array'
            )
        source, partner = self.path_map
        head, found, tail = img_path.rpartition(source)
        if not found:
            raise ValueError(f'{img_path}: does not contain {source!r}, so path_map={self.path_map} names no partner')
        return head + partner + tail

    def __repr__(self) -> str:
        """Return the transform as a config would write it."""
        return f'{self.__class__.__name__}(path_map={self.path_map})'


@TRANSFORMS.register_module()
class LoadFusionTruth(BaseTransform):
    """Load the image that fusion should give.

    Required Keys:

    - img: the pair, for its size
    - gt_path

    Added Keys:

    - gt_fused: (H, W, 3) BGR, values 0..255; uint8, or float32 when the file has 16 bits
    """

    def transform(self, results: dict) -> dict:
        """Add ``gt_fused``.

        Args:
            results: Result dict of one sample.

        Returns:
            The same dict.

        Raises:
            ImageReadError: If the file is missing or cannot be read.
            ValueError: If it differs in size from the pair.
        """
        path = results['gt_path']
        truth = read_image(path).bgr
        height, width = results['img'].shape[:2]
        if truth.shape[:2] != (height, width):
            raise ValueError(
                f'{path}: {truth.shape[1]} x {truth.shape[0]} pixels (width x height); expected the size of its pair '
                f'{results["img_path"]}, {width} x {height}'
            )
        results['gt_fused'] = truth
        return results

    def __repr__(self) -> str:
        """Return the transform as a config would write it."""
        return f'{self.__class__.__name__}()'
