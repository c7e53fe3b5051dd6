# Copyright (c) mmdefusion authors. All rights reserved.
"""What a scoring run writes: JSON, CSV and a table."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from mmdefusion.utils.output_files import write_bytes
from mmdefusion.version import __version__

from .functional import FUSION_METRICS, LOWER_IS_BETTER, REFERENCE_METRICS

# Metrics of the fused image alone, which noise and stretching raise.
WITHOUT_DIRECTION = frozenset({'EN', 'SD', 'SF', 'AG'})


def mean_scores(images: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Average each metric over the images that have it.

    Args:
        images: Scores by name of the image.

    Returns:
        Name of the metric -> mean. It does not depend on the order of the images.
    """
    names = dict.fromkeys(name for scores in images.values() for name in scores)
    columns = {name: [scores[name] for scores in images.values() if name in scores] for name in names}
    # fsum rounds once, so neither order nor partition of the images shows in the last digit.
    return {name: math.fsum(column) / len(column) for name, column in columns.items()}


def make_report(images: Mapping[str, Mapping[str, float]], metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, dict]:
    """Join scores to what is written as JSON.

    Args:
        images: Scores by name of the image.
        metrics: Name -> variant, as they were computed.

    Returns:
        ``mean``: the averages, ``images``: the scores, ``protocol``: what they mean.
    """
    protocol = dict(
        package=f'mmdefusion {__version__}',
        luma='0.299 R + 0.587 G + 0.114 B of sources and fused image, rounded to 8 bits',
        fused='8 bits, clipped to [0, 255], never stretched',
        metrics={name: dict(variant) for name, variant in metrics.items()},
        lower_is_better=[name for name in metrics if name in LOWER_IS_BETTER],
        num_images=len(images),
    )
    return dict(
        mean=mean_scores(images), images={name: dict(scores) for name, scores in images.items()}, protocol=protocol
    )


def write_json(path: str | os.PathLike, report: Mapping) -> None:
    """Write a report as JSON, complete or not at all.

    Args:
        path: Where to write.
        report: Result of :func:`make_report`.

    Raises:
        ValueError: If a value is NaN or infinite.
    """
    write_bytes(path, (json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False) + '\n').encode())


def write_csv(path: str | os.PathLike, report: Mapping) -> None:
    """Write the scores of all images as CSV with the header ``image,METRIC,...``, complete or not at all.

    Args:
        path: Where to write.
        report: Result of :func:`make_report`; a metric that an image lacks leaves its cell empty.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['image', *report['mean']])
    for name, scores in report['images'].items():
        writer.writerow([name, *(scores.get(metric, '') for metric in report['mean'])])
    write_bytes(path, text.getvalue().encode())


def format_table(report: Mapping) -> str:
    """Lay means and ranges out for a terminal.

    Args:
        report: Result of :func:`make_report`.

    Returns:
        One line for each metric; an arrow tells the better direction, where there is one.
    """
    rows = [('metric', 'mean', 'min', 'max', 'worst image')]
    for name, mean in report['mean'].items():
        scores = {image: values[name] for image, values in report['images'].items() if name in values}
        arrow = better_direction(name)
        worst = ''
        if arrow:
            worst = (max if arrow == '↓' else min)(scores, key=scores.get)
        low, high = min(scores.values()), max(scores.values())
        rows.append((f'{name} {arrow}'.rstrip(), *(f'{value:.4f}' for value in (mean, low, high)), worst))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        '  '.join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:4], widths[1:4], strict=True)),
                row[4],
            ]
        ).rstrip()
        for row in rows
    ]
    count = len(report['images'])
    return '\n'.join([*lines, f'{count} image{"s" * (count != 1)}'])


def better_direction(metric: str) -> str:
    """Give ``'↑'``, ``'↓'``, or ``''`` where a metric ranks nothing.

    Args:
        metric: Name out of ``FUSION_METRICS`` or ``REFERENCE_METRICS``.

    Raises:
        ValueError: If there is no such metric.
    """
    if metric not in FUSION_METRICS and metric not in REFERENCE_METRICS:
        raise ValueError(f'unknown metric {metric!r}; known are {[*FUSION_METRICS, *REFERENCE_METRICS]}')
    if metric in WITHOUT_DIRECTION:
        return ''
    return '↓' if metric in LOWER_IS_BETTER else '↑'


def result_names(samples: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name results after their samples.

    Args:
        samples: What is known of each: ``name`` or ``img_path``.

    Returns:
        The name, or else the stem of the path, of each; where two samples would share one, the shortest ends of their
        paths that tell them apart, for example ``'mri_ct/1'`` beside ``'mri_pet/1'``.

    Raises:
        ValueError: If two samples differ in nothing but the suffixes of their paths.
    """
    names = [sample.get('name') or PurePath(sample['img_path']).stem for sample in samples]
    paths = [PurePath(sample['img_path']).with_suffix('').parts for sample in samples]
    depth = 1
    while repeated := {name for name, count in Counter(names).items() if count > 1}:
        if depth > max(map(len, paths)):
            raise ValueError(f'two images have one name: {sorted(repeated)}; expected paths that differ')
        names = ['/'.join(path[-depth:]) if name in repeated else name for name, path in zip(names, paths, strict=True)]
        depth += 1
    return names
