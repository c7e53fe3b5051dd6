# Copyright (c) mmdefusion authors. All rights reserved.
"""One picture that shows all images of a sample side by side, each under its title."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch

from mmdefusion.structures import FusionDataSample

# Tiles are scaled into these widths, so that titles fit and panels of large images stay handy.
TILE_WIDTHS = (192, 640)
TITLE_HEIGHT = 24
MARGIN = 6
BACKGROUND, INK = 255, 32


def draw_panel(tiles: Mapping[str, np.ndarray], columns: int | None = None) -> np.ndarray:
    """Draw images in a grid with their titles above.

    Args:
        tiles: Images by title, all of one height and width: (H, W, 3), (H, W, 1) or (H, W), uint8. The channel
            order does not matter, the panel has the same.
        columns: Images in a row; default: 4 from eight images on, else 3.

    Returns:
        The panel, (H', W', 3) uint8.

    Raises:
        ValueError: If there is no image, or the images differ in size.
    """
    sizes = {title: image.shape[:2] for title, image in tiles.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(f'a panel needs one or more images of the same height and width, found {sizes}')
    height, width = next(iter(sizes.values()))
    columns = columns or min(len(tiles), 4 if len(tiles) >= 8 else 3)
    rows = -(-len(tiles) // columns)
    scale = np.clip(width, *TILE_WIDTHS) / width
    height, width = max(1, round(height * scale)), round(width * scale)
    cell = height + TITLE_HEIGHT + MARGIN, width + MARGIN
    panel = np.full((rows * cell[0] + MARGIN, columns * cell[1] + MARGIN, 3), BACKGROUND, np.uint8)
    # Small images are enlarged pixel by pixel, to be seen as they are.
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    for index, (title, image) in enumerate(tiles.items()):
        top = index // columns * cell[0] + MARGIN
        left = index % columns * cell[1] + MARGIN
        image = np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], 3))
        image = cv2.resize(image, (width, height), interpolation=interpolation)
        panel[top + TITLE_HEIGHT : top + TITLE_HEIGHT + height, left : left + width] = image
        origin = left + 2, top + TITLE_HEIGHT - 8
        cv2.putText(panel, title, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (INK,) * 3, 1, cv2.LINE_AA)
    return panel


def tensor_to_image(tensor: torch.Tensor) -> np.ndarray:
    """Turn an image tensor into an array.

    Args:
        tensor: (C, H, W), values in [0, 1]; what lies outside is clipped.

    Returns:
        (H, W, C) uint8.
    """
    image = tensor.detach().float().clamp(0, 1).mul(255).round().byte()
    return image.permute(1, 2, 0).cpu().numpy()


def sample_tiles(
    image: np.ndarray | torch.Tensor,
    data_sample: FusionDataSample | None,
    draw_gt: bool = True,
    draw_pred: bool = True,
) -> dict[str, np.ndarray]:
    """Collect the images of a sample under their titles.

    Args:
        image: Photo or pair with values 0..255: an array (H, W, 3) or (H, W, 6) in RGB, or a tensor (3, H, W) or
            (6, H, W) in BGR, as ``PackFusionInputs`` makes it.
        data_sample: Its data sample; fields that are absent are left out.
        draw_gt: Whether to show the views, which are known before prediction, and the ground truth of a pair.
        draw_pred: Whether to show the predictions.

    Returns:
        Images by title, (H, W, 3) RGB uint8: ``photo`` with ``view 1`` and ``view 2``, or ``source 1`` and
        ``source 2``; then ``common``, ``unique 1``, ``unique 2``, ``fused``, ``masked`` and ``ground truth``.

    Raises:
        ValueError: If ``image`` has neither 3 nor 6 channels.
    """
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu().numpy().transpose(1, 2, 0)
        image = np.concatenate([image[..., 2::-1], image[..., :2:-1]], axis=2)
    if image.ndim != 3 or image.shape[2] not in (3, 6):
        raise ValueError(f'image of shape {image.shape}; expected 3 channels for a photo or 6 for a pair')
    image = np.rint(np.clip(image, 0, 255)).astype(np.uint8)
    is_pair = image.shape[2] == 6
    tiles = {'source 1': image[..., :3], 'source 2': image[..., 3:]} if is_pair else {'photo': image}
    fields = []
    if draw_gt:
        fields += [('view1', 'view 1'), ('view2', 'view 2')]
    if draw_pred:
        fields += [('pred_common', 'common'), ('pred_unique1', 'unique 1'), ('pred_unique2', 'unique 2')]
        fields += [('pred_fused', 'fused'), ('pred_masked', 'masked')]
    if draw_gt and is_pair:
        fields += [('gt_fused', 'ground truth')]
    for field, title in fields:
        if data_sample is not None and field in data_sample:
            tiles[title] = tensor_to_image(data_sample.get(field))
    return tiles
