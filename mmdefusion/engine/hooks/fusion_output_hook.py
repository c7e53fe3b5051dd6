# Copyright (c) mmdefusion authors. All rights reserved.
"""Fused images and panels of a test run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdefusion.evaluation.report import result_names
from mmdefusion.registry import HOOKS
from mmdefusion.structures import FusionDataSample
from mmdefusion.utils.image_io import write_image
from mmdefusion.visualization import draw_panel, sample_tiles, tensor_to_image


@HOOKS.register_module()
class FusionOutputHook(Hook):
    """Writes the fused images of a test, and writes or shows panels of sources, parts and fused image.

    Files are named as the scores of ``FusionMetric`` are: ``STEM.png``, with folders in front where stems repeat.

    Args:
        out_dir: Folder for the fused images; None writes none.
        show_dir: Folder for the panels, inside the run's folder ``work_dir/timestamp`` unless absolute; None writes
            none.
        show: Whether to show each panel in a window.
        wait_time: Seconds that a window stays.
    """

    def __init__(
        self, out_dir: str | None = None, show_dir: str | None = None, show: bool = False, wait_time: float = 2
    ) -> None:
        self.out_dir = out_dir
        self.show_dir = show_dir
        self.show = show
        self.wait_time = wait_time
        self.names: dict[str, str] = {}

    def before_test_epoch(self, runner: Runner) -> None:
        """Gives every image of the test set a name of its own.

        Raises:
            ValueError: If two sources differ in nothing but their suffixes, or a source would be overwritten.
        """
        dataset = runner.test_dataloader.dataset
        samples = [dataset.get_data_info(index) for index in range(len(dataset))]
        paths = [sample['img_path'] for sample in samples]
        self.names = dict(zip(paths, result_names(samples), strict=True))
        if self.out_dir is None:
            return
        partners = [sample['partner_path'] for sample in samples if 'partner_path' in sample]
        sources = {os.path.realpath(path) for path in (*paths, *partners)}
        for name in self.names.values():
            path = Path(self.out_dir) / f'{name}.png'
            if os.path.realpath(path) in sources:
                raise ValueError(f'{path}: would overwrite a source; expected another folder for the fused images')

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[FusionDataSample] | None = None,
    ) -> None:
        """Writes and shows the images of a batch."""
        for inputs, sample in zip(data_batch['inputs'], outputs, strict=True):
            name = self.names[sample.img_path]
            if self.out_dir is not None:
                write_image(Path(self.out_dir) / f'{name}.png', tensor_to_image(sample.pred_fused)[..., ::-1])
            if self.show_dir is None and not self.show:
                continue
            panel = draw_panel(sample_tiles(inputs, sample))
            if self.show_dir is not None:
                folder = Path(runner.work_dir, runner.timestamp, self.show_dir)
                write_image(folder / f'{name}.png', panel[..., ::-1])
            if self.show:
                runner.visualizer.show(panel, win_name=name, wait_time=self.wait_time)
