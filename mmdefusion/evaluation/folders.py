# Copyright (c) mmdefusion authors. All rights reserved.
"""Scoring of folders of fused images, whatever made them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mmdefusion.utils.image_io import list_images

from .functional import MetricNames
from .report import make_report
from .scoring import SHOWN_PROBLEMS, FusedResult, ScoringPool

Folder = str | os.PathLike


def score_folders(
    a: Folder,
    b: Folder,
    fused: Folder,
    truth: Folder | None = None,
    names: Sequence[str] | None = None,
    metrics: MetricNames | None = None,
    num_workers: int | None = None,
) -> dict[str, dict]:
    """Score the fused images of a folder against their sources, all matched by stem.

    Args:
        a: Folder of the first sources.
        b: Folder of the second sources.
        fused: Folder of the fused images.
        truth: Folder of the images that fusion should give, if they are known.
        names: Names to score, with or without suffix; default every stem of any of the folders.
        metrics: Names out of ``FUSION_METRICS`` and ``REFERENCE_METRICS``, or names with variants; default all.
        num_workers: Processes, see :class:`.ScoringPool`.

    Returns:
        ``mean``, ``images`` and ``protocol``, see :func:`.make_report`.

    Raises:
        ImageReadError: If a folder does not exist.
        ValueError: If a name has not exactly one image in every folder, images cannot be read, or differ in size. All
            such names are reported at once.
    """
    pool = ScoringPool(metrics, num_workers)
    for result in match_results(a, b, fused, truth, names):
        pool.submit(result)
    images = dict(pool.collect())
    return make_report(images, pool.metrics)


def match_results(
    a: Folder, b: Folder, fused: Folder, truth: Folder | None = None, names: Sequence[str] | None = None
) -> list[FusedResult]:
    """Match the files of folders by stem.

    Args:
        a: Folder of the first sources.
        b: Folder of the second sources.
        fused: Folder of the fused images.
        truth: Folder of the true images, if they are known.
        names: Names to take, with or without suffix; default every stem of any of the folders.

    Returns:
        Paths by stem, in the order of ``names``, or sorted.

    Raises:
        ImageReadError: If a folder does not exist.
        ValueError: If a name has not exactly one image in every folder, or if there is none at all.
    """
    folders = [folder for folder in (a, b, fused, truth) if folder is not None]
    found = [list_images(folder) for folder in folders]
    known = set().union(*found)
    if names is None:
        stems = sorted(known)
    else:
        # A name may contain dots of its own: only what is no stem as it stands loses a suffix.
        stems = list(dict.fromkeys(name if name in known else Path(name).stem for name in names))
    problems = [
        problem for folder, images in zip(folders, found, strict=True) for problem in _gaps(folder, images, stems)
    ]
    if problems:
        shown = [
            *problems[:SHOWN_PROBLEMS],
            *([f'... and {len(problems) - SHOWN_PROBLEMS} more'] * (len(problems) > SHOWN_PROBLEMS)),
        ]
        hint = '' if names is not None else ' (a list of names scores a part of the folders)'
        raise ValueError(f'expected one image of every stem in every folder{hint}, found:\n  ' + '\n  '.join(shown))
    if not stems:
        raise ValueError(f'{fused}: no image to score')
    return [FusedResult(stem, *(images[stem][0] for images in found)) for stem in stems]


def read_names(path: str | os.PathLike) -> list[str]:
    """Read a list of names, one a line; empty lines do not count.

    Args:
        path: Text file.

    Returns:
        The names.

    Raises:
        ValueError: If the file does not exist or holds no name.
    """
    try:
        names = [line.strip() for line in Path(path).read_text(encoding='utf-8').splitlines() if line.strip()]
    except OSError as error:
        raise ValueError(
            f'{path}: cannot be opened ({error.strerror}); expected a text file of one name a line'
        ) from error
    if not names:
        raise ValueError(f'{path}: holds no name; expected one a line')
    return names


def _gaps(folder: Folder, images: dict[str, list[str]], stems: Sequence[str]) -> list[str]:
    problems = []
    for stem in stems:
        paths = images.get(stem, [])
        if not paths:
            problems.append(f'{Path(folder) / stem}.*: no such image')
        elif len(paths) > 1:
            problems.append(f'{Path(folder) / stem}.*: {len(paths)} images ({", ".join(Path(p).name for p in paths)})')
    return problems
