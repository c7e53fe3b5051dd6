# Copyright (c) mmdefusion authors. All rights reserved.
"""What can be given to the inferencer, and how it becomes pairs of images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmdefusion.utils.image_io import ImageReadError, SourceImage, match_folders, read_image, to_source_image

Source = str | os.PathLike | np.ndarray


class Pair(NamedTuple):
    """Two sources, not read yet.

    Attributes:
        name: Name of the results' files, without suffix.
        source1: Path or array.
        source2: Path or array.
    """

    name: str
    source1: Source
    source2: Source


class LoadedPair(NamedTuple):
    """Two images of one size.

    Attributes:
        pair: Where they come from.
        bgr1: (H, W, 3) BGR, values 0..255.
        bgr2: (H, W, 3) BGR, values 0..255.
        depth: The larger bit depth of the two, 8 or 16.
    """

    pair: Pair
    bgr1: np.ndarray
    bgr2: np.ndarray
    depth: int


def resolve_pairs(inputs: tuple | Sequence[tuple]) -> tuple[list[Pair], dict[str, str]]:
    """Turn what a caller gives into pairs.

    Args:
        inputs: A tuple of two paths, of two arrays or of two folders (matched by stem), or a list of such tuples of
            paths or arrays.

    Returns:
        The pairs, and for every file of a folder that has no partner one sentence saying so, by stem.

    Raises:
        ImageReadError: If a folder stands beside a file, does not exist, or holds no image.
        TypeError: If the inputs have another form.
    """
    if isinstance(inputs, tuple) and len(inputs) == 2 and all(_is_path(source) for source in inputs):
        folders = [os.path.isdir(source) for source in inputs]
        if all(folders):
            matched, problems = match_folders(*inputs)
            if not matched and not problems:
                raise ImageReadError(f'{inputs[0]} and {inputs[1]}: no images found; expected pairs of the same stem')
            return [Pair(*match) for match in matched], problems
        if any(folders):
            raise ImageReadError(f'{inputs[0]} and {inputs[1]}: a folder and no folder; expected two of a kind')
    if isinstance(inputs, tuple):
        inputs = [inputs]
    if not isinstance(inputs, list):
        raise TypeError(f'expected a tuple of two sources or a list of such tuples, found {type(inputs).__name__}')
    pairs = []
    for index, sources in enumerate(inputs):
        if not isinstance(sources, tuple | list) or len(sources) != 2 or not all(map(_is_source, sources)):
            raise TypeError(f'pair {index}: expected a tuple of two paths or arrays, found {_describe(sources)}')
        name = Path(sources[0]).stem if _is_path(sources[0]) else f'{index:05d}'
        pairs.append(Pair(name, *sources))
    return pairs, {}


def load_pair(pair: Pair) -> LoadedPair:
    """Read both sources.

    Args:
        pair: Paths or arrays.

    Returns:
        Both images.

    Raises:
        ImageReadError: If one cannot be read, or they differ in size.
    """
    image1, image2 = _load(pair.source1, f'{pair.name} (source 1)'), _load(pair.source2, f'{pair.name} (source 2)')
    if image1.bgr.shape != image2.bgr.shape:
        (height1, width1), (height2, width2) = image1.bgr.shape[:2], image2.bgr.shape[:2]
        name1, name2 = (
            source if _is_path(source) else f'{pair.name} (source {index})'
            for index, source in enumerate((pair.source1, pair.source2), 1)
        )
        raise ImageReadError(
            f'{name2}: {width2} x {height2} pixels (width x height); expected the size of its partner {name1}, '
            f'{width1} x {height1}'
        )
    return LoadedPair(pair, image1.bgr, image2.bgr, max(image1.depth, image2.depth))


def _load(source: Source, name: str) -> SourceImage:
    return read_image(source) if _is_path(source) else to_source_image(source, name)


def _is_path(source) -> bool:
    return isinstance(source, str | os.PathLike)


def _is_source(source) -> bool:
    return _is_path(source) or isinstance(source, np.ndarray)


def _describe(sources) -> str:
    if isinstance(sources, tuple | list):
        return f'{len(sources)} of {sorted({type(source).__name__ for source in sources})}'
    return type(sources).__name__
