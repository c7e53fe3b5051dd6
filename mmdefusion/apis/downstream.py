# Copyright (c) mmdefusion authors. All rights reserved.
"""Pictures of what trained detectors and segmentors say, beside the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, VISUALIZERS, init_default_scope
from mmengine.runner import load_checkpoint
from mmengine.visualization import Visualizer

from mmdefusion.utils.image_io import read_image
from mmdefusion.visualization import draw_panel, sample_tiles

TILE_WIDTH = 320


@torch.no_grad()
def predict_samples(cfg: Config, checkpoint: str, indices: Sequence[int] | int) -> list[tuple[torch.Tensor, object]]:
    """Run a trained model on some samples of its validation set.

    Args:
        cfg: Config of a detector or segmentor.
        checkpoint: Its weights.
        indices: Which samples, or how many, evenly spaced.

    Returns:
        For each sample what the pipeline packed, (3, H, W) or (6, H, W) BGR, and the data sample with labels and
        predictions.
    """
    init_default_scope(cfg.default_scope)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    model = MODELS.build(cfg.model)
    load_checkpoint(model, checkpoint, map_location='cpu')
    model.eval()
    if isinstance(indices, int):
        indices = np.linspace(0, len(dataset) - 1, indices).round().astype(int)
    samples = [dataset[index] for index in indices]
    return [(sample['inputs'], model.test_step(pseudo_collate([sample]))[0]) for sample in samples]


def draw_prediction_sheet(
    variants: Mapping[str, tuple[Config, str]], indices: Sequence[int] | int, draw_args: Mapping[str, object]
) -> np.ndarray:
    """Draw one row for each sample: the sources, the labels, and what each variant predicts.

    Args:
        variants: Config and checkpoint by name of the variant, the pairs of all of them being the same ones. At least
            one variant reads pairs.
        indices: Which samples of the validation set, or how many, evenly spaced.
        draw_args: Arguments of the host visualizer's ``add_datasample``.

    Returns:
        The sheet, (H, W, 3) BGR uint8.

    Raises:
        ValueError: If no variant reads pairs.
    """
    predicted = {name: predict_samples(*variant, indices) for name, variant in variants.items()}
    pairs = next((name for name, items in predicted.items() if items[0][0].size(0) == 6), None)
    if pairs is None:
        raise ValueError(f'none of the variants {list(variants)} reads pairs; the sheet shows both sources')
    visualizer = _make_visualizer(variants[pairs][0])
    tiles = {}
    for row, (inputs, sample) in enumerate(predicted[pairs]):
        visible = read_image(sample.img_path).bgr[..., ::-1].astype(np.uint8)
        sources = list(sample_tiles(inputs, None).values())
        tiles[f'{row} source 1'], tiles[f'{row} source 2'] = visible, _fit(sources[1], visible.shape[:2])
        tiles[f'{row} labels'] = _draw(visualizer, visible, sample, draw_gt=True, draw_pred=False, **draw_args)
        for name, items in predicted.items():
            picture = _draw(visualizer, visible, items[row][1], draw_gt=False, draw_pred=True, **draw_args)
            tiles[f'{row} {name}'] = picture
    scale = TILE_WIDTH / visible.shape[1]
    size = round(visible.shape[0] * scale), TILE_WIDTH
    return draw_panel({title: _fit(tile, size) for title, tile in tiles.items()}, columns=3 + len(variants))[..., ::-1]


def _make_visualizer(cfg: Config) -> Visualizer:
    init_default_scope(cfg.default_scope)
    name = f'sheet of {id(cfg)}'
    visualizer = VISUALIZERS.build({**cfg.visualizer, 'vis_backends': None, 'name': name})
    visualizer.dataset_meta = DATASETS.build({**cfg.val_dataloader.dataset, 'lazy_init': True}).metainfo
    return visualizer


def _draw(visualizer: Visualizer, image: np.ndarray, sample: object, **arguments: object) -> np.ndarray:
    visualizer.set_image(image)
    visualizer.add_datasample('sheet', image, sample, **arguments)
    return visualizer.get_image()


def _fit(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return image if image.shape[:2] == size else cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
