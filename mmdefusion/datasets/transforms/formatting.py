# Copyright (c) mmdefusion authors. All rights reserved.
"""Packing of results for the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmdefusion.registry import TRANSFORMS
from mmdefusion.structures import FusionDataSample


@TRANSFORMS.register_module()
class PackFusionInputs(BaseTransform):
    """Packs an image or a pair, its masks and its meta information.

    Required Keys:

    - img: (H, W, C) or (H, W, 2C), BGR, 0 to 255
    - cud_masks (optional): (2, H, W)
    - gt_fused (optional): (H, W, C), BGR, 0 to 255

    Returns ``inputs``, a tensor (C, H, W) of the image's type, and ``data_samples``, a ``FusionDataSample``.

    Args:
        meta_keys: Keys to keep as meta information where the results have them.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = (
            'name',
            'kind',
            'img_path',
            'partner_path',
            'ori_shape',
            'img_shape',
            'sample_idx',
            'flip',
            'flip_direction',
        ),
    ) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Packs the results."""
        sample = FusionDataSample(metainfo={key: results[key] for key in self.meta_keys if key in results})
        if 'cud_masks' in results:
            sample.cud_masks = torch.from_numpy(results['cud_masks'])
        if 'gt_fused' in results:
            sample.gt_fused = _to_tensor(results['gt_fused'][..., ::-1]).float() / 255
        return dict(inputs=_to_tensor(results['img']), data_samples=sample)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    """(H, W, C) -> (C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
