# Copyright (c) mmdefusion authors. All rights reserved.
"""Transforms of one image, applied to one image of a pair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform, Compose

from mmdefusion.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ApplyToSource(BaseTransform):
    """Applies stock transforms of the pixels' values to one source.

    ``PhotoMetricDistortion``, ``AutoContrast``, ``YOLOXHSVRandomAug`` or ``CutOut`` know images of three channels only,
    and what they do to colours makes no sense for an infrared image. The other source, boxes and label maps are
    neither seen nor changed by them. Of what they leave, only ``img`` is kept.

    Required Keys:

    - img: (H, W, 3k), BGR of k sources, k = 1 for an image without partner
    - img_path, img_shape, ori_shape (optional): handed on

    Modified Keys:

    - img: of the same shape; float32 if one of both sources is

    Args:
        index: Which source, 0 for the first.
        transforms: Configs of transforms of the host (or of any scope that their ``type`` names), or transforms.
    """

    HANDED_ON = ('img_path', 'img_shape', 'ori_shape')

    def __init__(self, index: int, transforms: Sequence[dict | BaseTransform]) -> None:
        if index < 0:
            raise ValueError(f'index must be 0 for the first source or 1 for the second, got {index}')
        self.index = index
        self.transforms = Compose(transforms)

    def transform(self, results: dict) -> dict | None:
        """Transforms one source.

        Args:
            results: Result dict of one sample.

        Returns:
            The same dict, or None where a transform gives the sample up.

        Raises:
            ValueError: If there is no such source, or a transform moves pixels: the sources would no longer match.
        """
        image = results['img']
        if image.ndim != 3 or image.shape[2] % 3 or image.shape[2] <= 3 * self.index:
            raise ValueError(
                f'{results.get("img_path")}: image of shape {image.shape} has no source {self.index}; '
                f'expected (H, W, {3 * self.index + 3}) or more, three channels for each source'
            )
        sources = np.split(image, image.shape[2] // 3, axis=2)
        # A decoy, which transforms of geometry take for the label map that they have to transform as well.
        decoy = _positions(*image.shape[:2])
        alone = {key: results[key] for key in self.HANDED_ON if key in results}
        alone.update(img=np.ascontiguousarray(sources[self.index]), gt_seg_map=decoy.copy(), seg_fields=['gt_seg_map'])
        alone = self.transforms(alone)
        if alone is None:
            return None
        if alone['img'].shape != sources[self.index].shape or not np.array_equal(alone['gt_seg_map'], decoy):
            raise ValueError(
                f'{results.get("img_path")}: ApplyToSource(index={self.index}) with {self.transforms} moved pixels of '
                f'one source, or changed its shape from {sources[self.index].shape} to {alone["img"].shape}; expected '
                'a transform of values only. Put geometry into the pipeline itself: it then applies to both sources, '
                'boxes and label maps'
            )
        sources[self.index] = alone['img']
        results['img'] = np.concatenate(sources, axis=2)
        return results

    def __repr__(self) -> str:
        """Return the transform as a config would write it."""
        return f'{type(self).__name__}(index={self.index}, transforms={self.transforms})'


def _positions(height: int, width: int) -> np.ndarray:
    """(H, W) uint8 that differs after any flip, crop, shift or rotation."""
    return ((np.arange(height)[:, None] * 7 + np.arange(width)) % 251).astype(np.uint8)
