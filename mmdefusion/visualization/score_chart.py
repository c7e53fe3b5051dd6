# Copyright (c) mmdefusion authors. All rights reserved.
"""A chart of several methods' scores."""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Mapping, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmdefusion.evaluation.ranking import MethodScores, Rank
from mmdefusion.evaluation.report import better_direction
from mmdefusion.utils.output_files import write_bytes

LEARNED, CLASSICAL = '#2f6f9f', '#b0b0b0'


def write_score_chart(
    path: str | os.PathLike,
    methods: Mapping[str, MethodScores],
    ranks: Mapping[str, Rank],
    metrics: Sequence[str],
    classical: Collection[str] = (),
) -> None:
    """Draw the mean rank with its interval and every metric as bars, one row for each method.

    Args:
        path: PNG file to write.
        methods: Scores by name of the method.
        ranks: Ranks by name of the method, the best first: the order of the rows.
        metrics: The metrics to draw.
        classical: Methods without learning, drawn in gray.
    """
    names = list(ranks)
    figure = Figure(figsize=(2.2 * (len(metrics) + 1) + 1, 0.3 * len(names) + 1.2), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(metrics) + 1, sharey=True, squeeze=False)[0]
    colors = [CLASSICAL if name in classical else LEARNED for name in names]
    rows = range(len(names))
    positions = [ranks[name].position for name in names]
    axes[0].barh(rows, positions, color=colors)
    for row, rank in zip(rows, ranks.values(), strict=True):
        if rank.interval is not None:
            axes[0].plot(rank.interval, (row, row), color='black', linewidth=1.5)
    axes[0].set_title('mean rank ↓', fontsize=9)
    for axis, metric in zip(axes[1:], metrics, strict=True):
        values = [methods[name].mean.get(metric, float('nan')) for name in names]
        axis.barh(rows, values, color=colors)
        axis.set_title(f'{metric} {better_direction(metric)}'.rstrip(), fontsize=9)
    axes[0].set_yticks(rows, names, fontsize=8)
    axes[0].invert_yaxis()
    for axis in axes:
        axis.tick_params(axis='x', labelsize=7)
        axis.spines[['top', 'right']].set_visible(False)
    content = io.BytesIO()
    # Without the version of Matplotlib, so that equal scores give an equal file.
    figure.savefig(content, format='png', dpi=150, metadata=dict(Software=None))
    write_bytes(path, content.getvalue())
