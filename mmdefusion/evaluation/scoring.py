# Copyright (c) mmdefusion authors. All rights reserved.
"""Scoring of many fused images by a pool of processes; results do not depend on the number of workers."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, NamedTuple

import cv2
import numpy as np

from mmdefusion.utils.image_io import read_image

from .functional import (
    FUSION_METRICS,
    REFERENCE_METRICS,
    MetricNames,
    evaluate_pair,
    evaluate_reference,
    resolve_metrics,
    to_luma,
)
from .functional.luma import Luma

Image = np.ndarray | str
Scores = dict[str, float]
SHOWN_PROBLEMS = 20
# Waiting images per worker: enough to keep all busy, few enough that large folders do not pile up in memory.
QUEUED_PER_WORKER = 4


class FusedResult(NamedTuple):
    """A fused image with what it is scored against; each image an array as metrics take it, or the path of a file.

    Attributes:
        name: What the result is called in the scores and in errors.
        a: First source.
        b: Second source.
        fused: Fused image.
        truth: The image that fusion should give, where it is known.
    """

    name: str
    a: Image
    b: Image
    fused: Image
    truth: Image | None = None


def choose_metrics(metrics: MetricNames | None = None) -> dict[str, Mapping[str, Any]]:
    """Resolve names out of ``FUSION_METRICS`` and ``REFERENCE_METRICS``.

    Args:
        metrics: Names, or names with the variant of each; None means all.

    Returns:
        Name -> variant.

    Raises:
        TypeError: If ``metrics`` is a string.
        ValueError: If a name is unknown, or there is none.
    """
    chosen = resolve_metrics(metrics, {**FUSION_METRICS, **REFERENCE_METRICS})
    if not chosen:
        raise ValueError('expected one metric or more, found none')
    return chosen


def score_result(result: FusedResult, metrics: Mapping[str, Mapping[str, Any]]) -> Scores:
    """Score one fused image.

    Args:
        result: The images.
        metrics: Name -> variant, see :func:`choose_metrics`; those against the truth are left out where it is unknown.

    Returns:
        Name -> value, all finite, in the order of ``metrics``.

    Raises:
        ImageReadError: If a file cannot be read.
        TypeError: If an image is neither uint8 nor floating point, or a metric has no such variant.
        ValueError: If sizes differ, an image is too small for a metric, or values are out of range.
    """
    lumas = {
        kind: Luma(to_luma(read_image(image).bgr if isinstance(image, str) else image, kind))
        for kind, image in (('a', result.a), ('b', result.b), ('fused', result.fused), ('truth', result.truth))
        if image is not None
    }
    shapes = {kind: luma.shape for kind, luma in lumas.items()}
    if len(set(shapes.values())) > 1:
        sizes = ', '.join(f'{kind} {width} x {height}' for kind, (height, width) in shapes.items())
        raise ValueError(f'images must have one size, found (width x height) {sizes}')
    of_pair = {name: variant for name, variant in metrics.items() if name in FUSION_METRICS}
    values = evaluate_pair(lumas['a'], lumas['b'], lumas['fused'], of_pair)
    if 'truth' in lumas:
        of_truth = {name: variant for name, variant in metrics.items() if name in REFERENCE_METRICS}
        values |= evaluate_reference(lumas['truth'], lumas['fused'], of_truth)
    return {name: values[name] for name in metrics if name in values}


def available_cpus() -> int:
    """Number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


class ScoringPool:
    """Scores fused images as they come, and gives the scores in the order in which the images came.

    Args:
        metrics: See :func:`choose_metrics`.
        num_workers: Processes; 0 scores in this one, None takes one for each core.

    Raises:
        TypeError: If ``metrics`` is a string.
        ValueError: If a metric is unknown, or ``num_workers`` is negative.
    """

    def __init__(self, metrics: MetricNames | None = None, num_workers: int | None = None) -> None:
        if num_workers is not None and num_workers < 0:
            raise ValueError(f'num_workers must be 0 or more, or None for one for each core, found {num_workers}')
        self.metrics = choose_metrics(metrics)
        self.num_workers = available_cpus() if num_workers is None else num_workers
        self._executor: ProcessPoolExecutor | None = None
        self._waiting: deque[Future] = deque()
        self._scored: list[tuple[str, Scores]] = []
        self._problems: list[str] = []

    def submit(self, result: FusedResult) -> None:
        """Take an image over; returns at once unless many wait already.

        Args:
            result: The images. Arrays are not to be changed afterwards.

        Raises:
            ValueError: If many images could not be scored.
        """
        if self.num_workers == 0:
            self._keep(_try_to_score(result, self.metrics))
            return
        if self._executor is None:
            # Forked workers start at once and need no `if __name__ == '__main__'` in the caller's script.
            context = multiprocessing.get_context('fork' if sys.platform == 'linux' else None)
            self._executor = ProcessPoolExecutor(
                self.num_workers, context, initializer=cv2.setNumThreads, initargs=(0,)
            )
        while len(self._waiting) >= QUEUED_PER_WORKER * self.num_workers:
            self._keep(self._waiting.popleft().result())
        self._waiting.append(self._executor.submit(_try_to_score, result, self.metrics))

    def collect(self) -> list[tuple[str, Scores]]:
        """Wait for all scores, end the processes, and start anew.

        Returns:
            Name and scores of every image, in the order of :meth:`submit`.

        Raises:
            ValueError: If images could not be scored; it says which and why.
        """
        try:
            while self._waiting:
                self._keep(self._waiting.popleft().result())
            if self._problems:
                self._fail()
            return self._scored
        finally:
            self.close()

    def close(self) -> None:
        """End the processes and forget all images."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
        self._executor, self._scored, self._problems = None, [], []
        self._waiting.clear()

    def _keep(self, outcome: tuple[str, Scores | str]) -> None:
        name, scores = outcome
        if isinstance(scores, str):
            self._problems.append(f'{name}: {scores}')
            if len(self._problems) >= SHOWN_PROBLEMS:
                self._fail()
        else:
            self._scored.append((name, scores))

    def _fail(self) -> None:
        problems, more = self._problems, ' or more' if len(self._problems) >= SHOWN_PROBLEMS else ''
        self.close()
        raise ValueError(f'{len(problems)}{more} images cannot be scored:\n  ' + '\n  '.join(problems))


def _try_to_score(result: FusedResult, metrics: Mapping[str, Mapping[str, Any]]) -> tuple[str, Scores | str]:
    try:
        return result.name, score_result(result, metrics)
    except ValueError as error:
        return result.name, str(error)
