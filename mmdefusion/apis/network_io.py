# Copyright (c) mmdefusion authors. All rights reserved.
"""Between decoded images and the network: luma or colour in, final colours out."""

from __future__ import annotations

import os

import numpy as np
import torch

from mmdefusion.structures import FusionDataSample
from mmdefusion.utils.image_io import row_strips

from .color import bgr_to_chroma, bgr_to_luma, chroma_at_luma, compose_bgr, mix_chroma
from .pairs import LoadedPair
from .results import PARTS

COLOR_MODES = ('ycbcr', 'rgb', 'gray')


def pack_pair(pair: LoadedPair, color: str) -> dict:
    """Make the network's input of a pair, in the form of ``PackFusionInputs``.

    Args:
        pair: Images in memory.
        color: One of ``COLOR_MODES``; all but ``'rgb'`` give the network lumas.

    Returns:
        ``inputs``, (6, H, W) float32 BGR 0..255, and ``data_samples``.
    """
    image = np.empty((6, *pair.size), np.float32)
    for source, channels in zip((pair.bgr1, pair.bgr2), np.split(image, 2), strict=True):
        channels[:] = source.transpose(2, 0, 1) if color == 'rgb' else bgr_to_luma(source)
    sample = FusionDataSample(metainfo=dict(ori_shape=pair.size, img_shape=pair.size))
    for key, source in (('img_path', pair.pair.source1), ('partner_path', pair.pair.source2)):
        if not isinstance(source, np.ndarray):
            sample.set_metainfo({key: os.fspath(source)})
    return dict(inputs=torch.from_numpy(image), data_samples=sample)


def predicted_maps(sample: FusionDataSample, color: str) -> dict[str, np.ndarray]:
    """What the network made of a pair.

    Args:
        sample: Predictions, RGB in [0, 1].
        color: One of ``COLOR_MODES``.

    Returns:
        ``fused`` and the parts that there are, (H, W, 3) BGR, or luma (H, W, 1) unless ``color`` is ``'rgb'``;
        0..255, float32.
    """
    maps = {}
    for name in ('fused', *PARTS):
        if f'pred_{name}' in sample:
            image = sample.get(f'pred_{name}').float().mul(255).numpy().transpose(1, 2, 0)[..., ::-1]
            maps[name] = image if color == 'rgb' else bgr_to_luma(image)[..., None]
    return maps


def finish_map(name: str, values: np.ndarray, pair: LoadedPair, color: str) -> np.ndarray:
    """Give a map its final colours.

    Args:
        name: Its name, see :func:`predicted_maps`; with ``'ycbcr'`` the fused luma gets the chroma of the sources.
        values: The map.
        pair: The sources of the same region, in memory.
        color: One of ``COLOR_MODES``.

    Returns:
        (H, W, 3) BGR or (H, W), values 0..255, not rounded.
    """
    if color == 'rgb':
        return values
    if name != 'fused' or color == 'gray':
        return values[..., 0]
    image = np.empty((*pair.size, 3), np.float32)
    for rows in row_strips(image):
        bgr1, bgr2, luma = pair.bgr1[rows], pair.bgr2[rows], values[rows, :, 0]
        if pair.both_colored:
            chroma = chroma_at_luma(bgr1, bgr2, luma)
        else:
            # Of infrared and visible: how bright a thing is in infrared says nothing about its colours.
            chroma = mix_chroma(bgr_to_chroma(bgr1), bgr_to_chroma(bgr2))
        np.clip(compose_bgr(luma, chroma), 0, 255, out=image[rows])
    return image


def image_to_tensor(image: np.ndarray, scale: float) -> torch.Tensor:
    """(H, W, 3) BGR or (H, W), values 0..``scale``, to (3, H, W) RGB or (1, H, W) in [0, 1], float32."""
    rgb = image[None] if image.ndim == 2 else image[..., ::-1].transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(rgb, np.float32)) / scale
