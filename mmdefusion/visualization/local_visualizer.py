# Copyright (c) mmdefusion authors. All rights reserved.
"""The visualizer of fusion and of its pretraining."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.visualization import Visualizer

from mmdefusion.registry import VISUALIZERS
from mmdefusion.structures import FusionDataSample
from mmdefusion.utils.image_io import write_image

from .panel import draw_panel, sample_tiles


@VISUALIZERS.register_module()
class FusionLocalVisualizer(Visualizer):
    """Shows a sample as one panel: what goes in, the decomposition and the fused image.

    The arguments are those of :class:`mmengine.visualization.Visualizer`.
    """

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray | torch.Tensor,
        data_sample: FusionDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        step: int = 0,
    ) -> None:
        """Draw the panel of a sample, then show it, write it to ``out_file``, or else send it to all backends.

        Args:
            name: Name of the picture, for example its tag in TensorBoard.
            image: Photo or pair with values 0..255, of the height and width of the predictions: an array (H, W, 3) or
                (H, W, 6) in RGB, or a tensor (3, H, W) or (6, H, W) in BGR, as ``PackFusionInputs`` makes it.
            data_sample: Views, predictions and ground truth.
            draw_gt: Whether to draw the views of a photo and the ground truth of a pair.
            draw_pred: Whether to draw the predictions.
            show: Whether to open a window.
            wait_time: Seconds that the window stays; 0 means until a key is pressed.
            out_file: Path of an image file to write.
            step: Global step of the backends.
        """
        panel = draw_panel(sample_tiles(image, data_sample, draw_gt, draw_pred))
        self.set_image(panel)
        if show:
            self.show(panel, win_name=name, wait_time=wait_time)
        if out_file is not None:
            write_image(out_file, panel[..., ::-1])
        else:
            self.add_image(name, panel, step)
