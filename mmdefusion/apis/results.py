# Copyright (c) mmdefusion authors. All rights reserved.
"""What fusing gives, and where it is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmdefusion.structures import FusionDataSample
from mmdefusion.utils.image_io import write_image
from mmdefusion.utils.output_files import check_writable

from .pairs import Pair

PARTS = ('common', 'unique1', 'unique2')


class FusedPair(NamedTuple):
    """Result of one pair.

    Attributes:
        name: Name of the pair.
        images: ``fused``, and with parts also ``panel`` and, where the model has them, ``common``, ``unique1`` and
            ``unique2``: (H, W, 3) BGR or (H, W), uint8, or uint16 when a source has 16 bits.
        data_sample: Predictions as tensors, ``pred_fused`` in final colours; None for a pair fused in tiles, unless
            data samples were asked for.
    """

    name: str
    images: dict[str, np.ndarray]
    data_sample: FusionDataSample | None


class FailedPair(NamedTuple):
    """A pair that could not be used.

    Attributes:
        name: Name of the pair.
        reason: One sentence that names the file, what was found and what was expected.
    """

    name: str
    reason: str


def result_paths(name: str, out_dir: str | os.PathLike, parts: bool, suffix: str = '.png') -> dict[str, Path]:
    """Say where the images of a pair go.

    Args:
        name: Name of the pair.
        out_dir: Folder of the results.
        parts: Whether parts and panel are written too.
        suffix: Suffix of the files: results that are written region by region are TIFF files.

    Returns:
        Paths by kind, as in :attr:`FusedPair.images`.
    """
    paths = dict(fused=Path(out_dir) / f'{name}{suffix}')
    if parts:
        paths |= {kind: Path(out_dir) / kind / f'{name}{suffix}' for kind in (*PARTS, 'panel')}
    return paths


def check_outputs(pairs: Sequence[Pair], out_dir: str | os.PathLike, parts: bool) -> None:
    """Make sure that every result has a file of its own, none of these is a source, and the folder can be written to.

    Args:
        pairs: All pairs of the run.
        out_dir: Folder of the results.
        parts: Whether parts and panel are written too.

    Raises:
        ValueError: Two pairs have one name, or a result would overwrite a source.
        OutputError: The folder, or the one to make it in, cannot be written to.
    """
    check_writable(out_dir)
    sources = {
        os.path.realpath(source): source
        for pair in pairs
        for source in (pair.source1, pair.source2)
        if not isinstance(source, np.ndarray)
    }
    names: set[str] = set()
    for pair in pairs:
        if pair.name in names:
            raise ValueError(f'two pairs are named {pair.name!r}; expected first sources with stems of their own')
        names.add(pair.name)
        for suffix in ('.png', '.tif'):
            for path in result_paths(pair.name, out_dir, parts, suffix).values():
                if os.path.realpath(path) in sources:
                    raise ValueError(f'{path}: would overwrite a source; expected another folder for the results')


def write_result(result: FusedPair, out_dir: str | os.PathLike) -> None:
    """Write the images of a pair as PNG files.

    Args:
        result: The result.
        out_dir: Folder of the results.
    """
    paths = result_paths(result.name, out_dir, 'panel' in result.images)
    for kind, image in result.images.items():
        write_image(paths[kind], image)
