# Copyright (c) mmdefusion authors. All rights reserved.
"""Learning curves of several variants."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmdefusion.utils.output_files import write_bytes


def write_learning_curves(
    path: str | os.PathLike, summary: Mapping[str, Mapping], metric: str, title: str, step_name: str
) -> None:
    """Draw a metric against the step: each run as a thin line, the mean of a variant as a thick one.

    Args:
        path: PNG file to write.
        summary: Result of :func:`mmdefusion.evaluation.downstream.summarize`.
        metric: The metric.
        title: Label of the vertical axis.
        step_name: Label of the horizontal axis.
    """
    figure = Figure(figsize=(6.4, 4), layout='constrained')
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for index, (variant, row) in enumerate(summary.items()):
        color = f'C{index}'
        runs = [np.array(curve, dtype=float) for curve in row['metrics'][metric]['curves'].values()]
        for run in runs:
            axis.plot(run[:, 0], run[:, 1], color=color, linewidth=0.6, alpha=0.5)
        # Runs of one schedule are validated at the same steps.
        mean = np.mean(runs, axis=0)
        axis.plot(mean[:, 0], mean[:, 1], color=color, linewidth=2, marker='o', markersize=3, label=variant)
    axis.set_xlabel(step_name)
    axis.set_ylabel(title)
    axis.grid(alpha=0.3)
    axis.spines[['top', 'right']].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
    content = io.BytesIO()
    # Without the version of Matplotlib, so that equal curves give an equal file.
    figure.savefig(content, format='png', dpi=150, metadata=dict(Software=None))
    write_bytes(path, content.getvalue())
