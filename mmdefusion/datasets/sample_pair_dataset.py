# Copyright (c) mmdefusion authors. All rights reserved.
"""The package's own sample pairs as a dataset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmdefusion.registry import DATASETS

from .base_dataset import SeededDataset
from .sample_pairs import make_sample_pairs


@DATASETS.register_module()
class SamplePairDataset(SeededDataset):
    """One generated pair of each task: infrared-visible, multi-focus, multi-exposure; no files needed.

    Its samples hold the images already, so pipelines start after loading.

    Args:
        tasks: Tasks to take, default all.
        height: Height of the images in pixels.
        **kwargs: Arguments of :class:`SeededDataset`.
    """

    METAINFO = dict(dataset_type='sample_pairs', task_name='image_fusion')

    def __init__(self, tasks: Sequence[str] | None = None, height: int = 320, **kwargs) -> None:
        self.tasks = tasks
        self.height = height
        super().__init__(test_mode=True, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Makes the pairs: ``img`` (H, W, 6) BGR uint8, ``img_path`` the task, and ``gt_fused`` where it is known."""
        samples = []
        for task, pair in make_sample_pairs(self.tasks, self.height).items():
            image = np.concatenate([pair.source1, pair.source2], axis=2)
            sample = dict(img=image, img_path=task, ori_shape=image.shape[:2], img_shape=image.shape[:2])
            if pair.ground_truth is not None:
                sample['gt_fused'] = pair.ground_truth
            samples.append(sample)
        return samples
