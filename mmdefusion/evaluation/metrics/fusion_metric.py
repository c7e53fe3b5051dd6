# Copyright (c) mmdefusion authors. All rights reserved.
"""All fusion metrics for MMEngine's evaluator."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from mmengine.dist import get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from torch import Tensor

from mmdefusion.registry import METRICS
from mmdefusion.utils.image_io import quantize

from ..functional import MetricNames, to_luma
from ..report import format_table, make_report, result_names, write_csv, write_json
from ..scoring import FusedResult, ScoringPool, available_cpus


@METRICS.register_module()
class FusionMetric(BaseMetric):
    """Scores fused images against both sources, and against the truth where it is known (``gt_fused``).

    Scored is the 8-bit luma of the fused image with 8 bits per channel, clipped and never stretched: the same values
    as those of the written file. Definitions and variants of the metrics: :mod:`mmdefusion.evaluation.functional`.
    Scoring runs in processes of its own while the network fuses the next pairs.

    Args:
        metrics: Names out of ``FUSION_METRICS`` and ``REFERENCE_METRICS``, or names with the variant of each, as in
            ``{'SSIM': {'reduction': 'sum'}, 'MI': {}}``; None means all. Metrics against the truth are left out for
            images that have none.
        num_workers: Processes for scoring; None takes one for each core, shared by the ranks of a machine, 0 scores
            in the main process. The values do not depend on it.
        outfile_prefix: Where to write ``PREFIX.json`` (mean, images, protocol) and ``PREFIX.csv`` (a line for each
            image); None writes nothing.
        collect_device: As in MMEngine.
        prefix: As in MMEngine.
        collect_dir: As in MMEngine.

    Raises:
        TypeError: If ``metrics`` is a string.
        ValueError: If a metric is unknown, or ``num_workers`` is negative.
    """

    def __init__(
        self,
        metrics: MetricNames | None = None,
        num_workers: int | None = None,
        outfile_prefix: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        if num_workers is None:
            # Only torchrun tells how many of the ranks share this machine; else all may.
            ranks = int(os.environ.get('LOCAL_WORLD_SIZE', get_world_size()))
            num_workers = max(1, available_cpus() // ranks)
        self.pool = ScoringPool(metrics, num_workers)
        self.outfile_prefix = outfile_prefix
        self.samples: list[dict[str, str]] = []

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Hands the images of a batch over to the scoring processes.

        Args:
            data_batch: ``inputs``: pairs (6, H, W), BGR of source 1 then of source 2, values 0..255.
            data_samples: Samples with ``pred_fused``, optionally ``gt_fused``, (3, H, W) RGB in [0, 1], and
                ``img_path``.

        Raises:
            ValueError: If an input is no pair, has another size than its fused image, or many images cannot be scored.
        """
        for inputs, sample in zip(data_batch['inputs'], data_samples, strict=True):
            path = sample['img_path']
            fused, truth = sample['pred_fused'], sample.get('gt_fused')
            if len(inputs) != 6 or inputs.shape[1:] != fused.shape[1:]:
                raise ValueError(
                    f'{path}: expected a pair of shape (6, H, W) and a fused image of the same size, found '
                    f'{tuple(inputs.shape)} and {tuple(fused.shape)}'
                )
            sources = inputs.permute(1, 2, 0).cpu().numpy()
            truth = None if truth is None else _luma_of_tensor(truth)
            self.samples.append({key: sample[key] for key in ('name', 'img_path') if key in sample})
            self.pool.submit(
                FusedResult(path, to_luma(sources[..., :3]), to_luma(sources[..., 3:]), _luma_of_tensor(fused), truth)
            )

    def evaluate(self, size: int) -> dict[str, float]:
        """Waits for the scores and averages them over all ranks.

        Args:
            size: Number of images of the data set.

        Returns:
            Means by name of the metric.

        Raises:
            ValueError: If an image cannot be scored.
        """
        scored = self.pool.collect()
        self.results = [(sample, scores) for sample, (_, scores) in zip(self.samples, scored, strict=True)]
        self.samples.clear()
        return super().evaluate(size)

    def compute_metrics(self, results: list[tuple[dict, dict[str, float]]]) -> dict[str, float]:
        """Averages, logs a table and writes the files.

        Args:
            results: Name and path, and scores, of each image.

        Returns:
            Means by name of the metric.
        """
        names = result_names([sample for sample, _ in results])
        images = {name: scores for name, (_, scores) in zip(names, results, strict=True)}
        report = make_report(images, self.pool.metrics)
        MMLogger.get_current_instance().info('\n' + format_table(report))
        if self.outfile_prefix is not None:
            write_json(f'{self.outfile_prefix}.json', report)
            write_csv(f'{self.outfile_prefix}.csv', report)
        return report['mean']


def _luma_of_tensor(image: Tensor) -> np.ndarray:
    """8-bit luma of an RGB image (3, H, W) or a gray one (1, H, W) in [0, 1]."""
    bgr = image.detach().float().mul(255).permute(1, 2, 0).cpu().numpy()[..., ::-1]
    return to_luma(quantize(bgr if bgr.shape[2] == 3 else bgr[..., 0], 8))
