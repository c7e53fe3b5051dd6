# Copyright (c) mmdefusion authors. All rights reserved.
"""Mean rank of fusion methods, with bootstrap intervals, and the table that shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .functional import LOWER_IS_BETTER
from .report import WITHOUT_DIRECTION, better_direction

RANKED_METRICS = dict(
    infrared_visible=('MI', 'SCD', 'VIF', 'Qabf', 'SSIM'),
    multi_focus=('NMI', 'VIF', 'Qabf', 'SSIM'),
    multi_exposure=('MEF-SSIM', 'MI', 'VIF', 'Qabf', 'SSIM'),
)
"""The metrics whose positions are averaged, by task."""


class MethodScores(NamedTuple):
    """Scores of one method on one set of pairs.

    Attributes:
        mean: Mean of each metric.
        images: Scores by name of the image; None where only the means are known, as of published results.
    """

    mean: Mapping[str, float]
    images: Mapping[str, Mapping[str, float]] | None = None


class Rank(NamedTuple):
    """Place of one method among others.

    Attributes:
        position: Mean over the metrics of the method's position, 1 is the best.
        interval: Bounds of its bootstrap interval; None without scores of single images.
    """

    position: float
    interval: tuple[float, float] | None


def rank_methods(
    methods: Mapping[str, MethodScores],
    metrics: Sequence[str],
    num_samples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Rank]:
    """Order methods by the mean of each metric and average each method's positions; ties go by name.

    The interval says how far the position depends on the choice of pairs: the pairs are drawn anew with replacement,
    the same for all methods, means and positions are formed again, and the middle ``confidence`` of the positions is
    kept. A method of which only the means are known keeps them in every draw.

    Args:
        methods: Scores by name of the method. Those with single images need the same ones.
        metrics: The ranked metrics.
        num_samples: Bootstrap samples.
        confidence: Probability that an interval covers.
        seed: Seed of the draws.

    Returns:
        Method -> rank, the best first.

    Raises:
        ValueError: If there is no metric, one ranks nothing (EN, SD, SF, AG), a method lacks one, or methods have
            other images than the first.
    """
    _check(methods, metrics)
    names = sorted(methods)
    means = np.array([[methods[name].mean[metric] for metric in metrics] for name in names])
    signs = np.array([-1.0 if metric in LOWER_IS_BETTER else 1.0 for metric in metrics])
    positions = _mean_positions(means * signs)
    intervals: list = [None] * len(names)
    images = [list(method.images) for method in methods.values() if method.images is not None]
    if images:
        draws = np.repeat(means[None], num_samples, axis=0)
        count = len(images[0])
        weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), num_samples) / count
        for index, name in enumerate(names):
            scores = methods[name].images
            if scores is not None:
                values = np.array([[scores[image][metric] for metric in metrics] for image in images[0]])
                draws[:, index] = weights @ values
        tails = (1 - confidence) / 2
        bounds = np.quantile(_mean_positions(draws * signs), (tails, 1 - tails), axis=0)
        intervals = [(float(low), float(high)) for low, high in bounds.T]
    ranks = {name: Rank(float(p), i) for name, p, i in zip(names, positions, intervals, strict=True)}
    return dict(sorted(ranks.items(), key=lambda item: (item[1].position, item[0])))


def ranking_table(
    methods: Mapping[str, MethodScores], ranks: Mapping[str, Rank], metrics: Sequence[str], confidence: float = 0.95
) -> str:
    """Lay scores and ranks out as a Markdown table; the best value of each column is bold, the second one in italics.

    Args:
        methods: Scores by name of the method.
        ranks: Result of :func:`rank_methods`, in the order of the rows.
        metrics: The columns.
        confidence: As given to :func:`rank_methods`.

    Returns:
        The table.
    """
    with_intervals = any(rank.interval is not None for rank in ranks.values())
    header = ['method', *(f'{metric} {better_direction(metric)}'.rstrip() for metric in metrics), 'mean rank ↓']
    header += [f'{confidence:.0%} interval'] * with_intervals
    columns = [_marked({name: methods[name].mean.get(metric) for name in ranks}, metric) for metric in metrics]
    rows = []
    for name, rank in ranks.items():
        row = [name, *(column[name] for column in columns), f'{rank.position:.2f}']
        if with_intervals:
            row.append(f'{rank.interval[0]:.2f} to {rank.interval[1]:.2f}')
        rows.append(row)
    rule = ['---', *['---:'] * (len(header) - 1)]
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in (header, rule, *rows))


def _check(methods: Mapping[str, MethodScores], metrics: Sequence[str]) -> None:
    if not metrics or not methods:
        raise ValueError(f'expected metrics and methods, found {list(metrics)} and {list(methods)}')
    useless = [metric for metric in metrics if metric in WITHOUT_DIRECTION]
    if useless:
        raise ValueError(
            f'{useless} cannot rank: noise and stretching raise them; see the metrics in the documentation'
        )
    first = None
    for name, method in methods.items():
        tables = {'the mean': method.mean, **(method.images or {})}
        for place, scores in tables.items():
            missing = [metric for metric in metrics if metric not in scores]
            if missing:
                raise ValueError(f'{name}: {place} has no {", ".join(missing)}; found {list(scores)}')
        if method.images is None:
            continue
        first = first or (name, set(method.images))
        if set(method.images) != first[1]:
            differing = sorted(set(method.images) ^ first[1])[:5]
            raise ValueError(f'{first[0]} and {name} were scored on other images: {", ".join(differing)}, ...')


def _mean_positions(values: np.ndarray) -> np.ndarray:
    """Positions of methods, averaged over metrics: (..., methods, metrics), higher is better, to (..., methods)."""
    # Stable: of equal values the method that comes first, which is the first by name, is the better one.
    order = np.argsort(-values, axis=-2, kind='stable')
    return (np.argsort(order, axis=-2, kind='stable') + 1).mean(axis=-1)


def _marked(values: Mapping[str, float | None], metric: str) -> dict[str, str]:
    distinct = sorted({value for value in values.values() if value is not None}, reverse=metric not in LOWER_IS_BETTER)
    marks = dict(zip(distinct, ('**', '*'), strict=False)) if better_direction(metric) else {}
    texts = {}
    for name, value in values.items():
        mark = marks.get(value, '')
        texts[name] = '-' if value is None else f'{mark}{value:.4f}{mark}'
    return texts
