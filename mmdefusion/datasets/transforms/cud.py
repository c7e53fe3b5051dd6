# Copyright (c) mmdefusion authors. All rights reserved.
"""The masks of common and unique decomposition."""

from __future__ import annotations

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmdefusion.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomCUDMasks(BaseTransform):
    """Draws which pixels of a photo each of its two views sees.

    A coarse and a fine grid of cells are drawn for each view, each cell kept with a probability q that is drawn once a
    photo, ``q = 0.1 + U(0, 1) / 1.12``; a view sees a pixel that both of its grids keep. A pixel that neither view
    would see is given to one of them by a third random grid, and the views are swapped with probability 0.5.

    Required Keys:

    - img: (H, W, C)

    Added Keys:

    - cud_masks: (2, H, W) uint8, 1 where the view sees the photo; one of both sees every pixel

    Args:
        coarse: Cells a side of the coarse grid.
        fine: Cells a side of the fine grid, one of these numbers at random.
    """

    def __init__(self, coarse: int = 13, fine: tuple[int, ...] = (26, 27)) -> None:
        if min(coarse, *fine) < 1:
            raise ValueError(f'grids need at least one cell a side, got coarse={coarse}, fine={fine}')
        self.coarse = coarse
        self.fine = tuple(fine)

    @staticmethod
    def _grid(cells: int, probability: float, size: tuple[int, int]) -> np.ndarray:
        grid = (np.random.random((cells, cells)) < probability).astype(np.uint8)
        return cv2.resize(grid, size[::-1], interpolation=cv2.INTER_NEAREST)

    def transform(self, results: dict) -> dict:
        """Draws the masks from ``numpy.random``."""
        size = results['img'].shape[:2]
        keep = 0.1 + np.random.random() / 1.12
        fine = int(np.random.choice(self.fine))
        views = [self._grid(self.coarse, keep, size) * self._grid(fine, keep, size) for _ in range(2)]
        chooser = self._grid(int(np.random.choice([self.coarse, fine])), 0.5, size)
        unseen = (1 - views[0]) * (1 - views[1])
        masks = np.stack([views[0] | unseen * chooser, views[1] | unseen * (1 - chooser)])
        results['cud_masks'] = masks[::-1].copy() if np.random.random() < 0.5 else masks
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(coarse={self.coarse}, fine={self.fine})'
