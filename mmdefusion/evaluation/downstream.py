# Copyright (c) mmdefusion authors. All rights reserved.
"""Results of several trainings of a detector or segmentor, and their comparison."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Run(NamedTuple):
    """One training.

    Attributes:
        seed: Its seed.
        curves: Metric -> list of (step, value), one for each validation; the step is counted as the loop does.
        seconds: Time it took, validations included.
    """

    seed: int
    curves: dict[str, list[tuple[int, float]]]
    seconds: float

    def final(self, metric: str) -> float:
        """Value at the last validation, which no selection on the validation set has made better."""
        return self.curves[metric][-1][1]


def read_curves(work_dir: str | os.PathLike, metrics: Sequence[str]) -> dict[str, list[tuple[int, float]]]:
    """Read what the validations of a training found.

    Args:
        work_dir: Work dir of one MMEngine run.
        metrics: Names of metrics, as they are logged.

    Returns:
        Metric -> list of (step, value).

    Raises:
        ValueError: If there is not exactly one log, or a metric is not in it.
    """
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if len(logs) != 1:
        raise ValueError(f'{work_dir}: {len(logs)} logs */vis_data/scalars.json; expected one')
    entries = [json.loads(line) for line in logs[0].read_text(encoding='utf-8').splitlines()]
    curves = {metric: [(entry['step'], entry[metric]) for entry in entries if metric in entry] for metric in metrics}
    missing = [metric for metric in metrics if not curves[metric]]
    if missing:
        found = sorted({key for entry in entries for key in entry if 'loss' not in entry})
        raise ValueError(f'{logs[0]}: no values of {missing}; found {found}')
    return curves


def summarize(variants: Mapping[str, Sequence[Run]], metrics: Sequence[str]) -> dict[str, dict]:
    """Mean and spread of each variant.

    Args:
        variants: Runs by name of the variant.
        metrics: The metrics.

    Returns:
        Variant -> ``seeds``, ``seconds`` (mean), and for each metric ``mean``, ``std`` (sample standard deviation; None
        for a single run), ``values`` at the end, and ``curves`` by seed.
    """
    return {name: _summarize(runs, metrics) for name, runs in variants.items()}


def _summarize(runs: Sequence[Run], metrics: Sequence[str]) -> dict:
    summary = dict(seeds=[run.seed for run in runs], seconds=statistics.fmean(run.seconds for run in runs), metrics={})
    for metric in metrics:
        values = [run.final(metric) for run in runs]
        summary['metrics'][metric] = dict(
            mean=statistics.fmean(values),
            std=statistics.stdev(values) if len(values) > 1 else None,
            values=values,
            curves={str(run.seed): run.curves[metric] for run in runs},
        )
    return summary


def summary_table(summary: Mapping[str, Mapping], metrics: Mapping[str, str]) -> str:
    """Markdown table of a summary.

    Args:
        summary: Result of :func:`summarize`.
        metrics: Title of the column by name of the metric.

    Returns:
        One row for each variant: mean ± standard deviation; the best mean of each column in bold.
    """
    best = {name: max(row['metrics'][name]['mean'] for row in summary.values()) for name in metrics}
    lines = [
        f'| variant | {" | ".join(metrics.values())} | runs | seconds a run |',
        f'|---|{"---|" * len(metrics)}---|---|',
    ]
    for variant, row in summary.items():
        cells = []
        for name in metrics:
            value = row['metrics'][name]
            text = f'{value["mean"]:.2f}' if value['std'] is None else f'{value["mean"]:.2f} ± {value["std"]:.2f}'
            cells.append(f'**{text}**' if value['mean'] == best[name] else text)
        lines.append(f'| {variant} | {" | ".join(cells)} | {len(row["seeds"])} | {row["seconds"]:.0f} |')
    return '\n'.join(lines)
