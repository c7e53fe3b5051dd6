# Copyright (c) mmdefusion authors. All rights reserved.
"""What can be given to the inferencer, and how it becomes pairs of images."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmdefusion.utils.image_io import ImageReadError, SourceImage, match_folders, read_image, to_source_image
from mmdefusion.utils.image_stream import TiffImage

from .color import is_gray

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
        bgr1: (H, W, 3) BGR, values 0..255; or a file that gives such arrays where it is sliced.
        bgr2: The same of the second source.
        depth: The larger bit depth of the two, 8 or 16.
        both_colored: Whether both images have colours.
    """

    pair: Pair
    bgr1: np.ndarray | TiffImage
    bgr2: np.ndarray | TiffImage
    depth: int
    both_colored: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.bgr1.shape[:2]

    @property
    def on_disk(self) -> bool:
        """Whether the images are read region by region."""
        return isinstance(self.bgr1, TiffImage)

    def crop(self, rows: slice, columns: slice) -> LoadedPair:
        """A region of both images, in memory."""
        return self._replace(bgr1=self.bgr1[rows, columns], bgr2=self.bgr2[rows, columns])

    def close(self) -> None:
        """Close files, if there are any."""
        for image in (self.bgr1, self.bgr2):
            if isinstance(image, TiffImage):
                image.close()


def resolve_pairs(
    inputs: tuple | Sequence[tuple], suffixes: tuple[str, str] = ('', '')
) -> tuple[list[Pair], dict[str, str]]:
    """Turn what a caller gives into pairs.

    Args:
        inputs: A tuple of two paths, of two arrays or of two folders (matched by stem), or a list of such tuples of
            paths or arrays.
        suffixes: What the stems of a pair's files end in, where two folders are given: ``('_RGB', '_IR')`` matches
            ``1_RGB.jpg`` with ``1_IR.png``, and leaves other files out.

    Returns:
        The pairs, and for every file of a folder that has no partner one sentence saying so, by stem.

    Raises:
        ImageReadError: If a folder stands beside a file, does not exist, or holds no image, or if there are suffixes
            but no folders.
        TypeError: If the inputs have another form.
    """
    if isinstance(inputs, tuple) and len(inputs) == 2 and all(_is_path(source) for source in inputs):
        folders = [os.path.isdir(source) for source in inputs]
        if all(folders):
            matched, problems = match_folders(*inputs, suffixes=suffixes)
            if not matched and not problems:
                files = ' and '.join(f'{folder}/*{suffix}.*' for folder, suffix in zip(inputs, suffixes, strict=True))
                raise ImageReadError(f'{files}: no images found; expected pairs of the same stem')
            return [Pair(Path(match.path1).stem, match.path1, match.path2) for match in matched], problems
        if any(folders):
            raise ImageReadError(f'{inputs[0]} and {inputs[1]}: a folder and no folder; expected two of a kind')
    if any(suffixes):
        raise ImageReadError(f'suffixes {suffixes} match the images of two folders, but there are none in {inputs}')
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


def load_pair(pair: Pair, max_pixels: float = math.inf) -> LoadedPair:
    """Read both sources.

    Args:
        pair: Paths or arrays.
        max_pixels: Larger images are left on disk and read region by region, where both files allow it.

    Returns:
        Both images.

    Raises:
        ImageReadError: If one cannot be read, or they differ in size.
    """
    names = [f'{pair.name} (source {index})' for index in (1, 2)]
    streams = _open_streams(pair, max_pixels)
    if streams:
        loaded = LoadedPair(pair, *streams, max(stream.depth for stream in streams))
    else:
        image1, image2 = (_load(source, name) for source, name in zip(pair[1:], names, strict=True))
        loaded = LoadedPair(pair, image1.bgr, image2.bgr, max(image1.depth, image2.depth))
    (height1, width1), (height2, width2) = loaded.bgr1.shape[:2], loaded.bgr2.shape[:2]
    if (height1, width1) != (height2, width2):
        loaded.close()
        name1, name2 = (source if _is_path(source) else name for source, name in zip(pair[1:], names, strict=True))
        raise ImageReadError(
            f'{name2}: {width2} x {height2} pixels (width x height); expected the size of its partner {name1}, '
            f'{width1} x {height1}'
        )
    try:
        return loaded._replace(both_colored=not (is_gray(loaded.bgr1) or is_gray(loaded.bgr2)))
    except ImageReadError:
        loaded.close()
        raise


def _open_streams(pair: Pair, max_pixels: float) -> list[TiffImage] | None:
    if not all(map(_is_path, pair[1:])):
        return None
    streams = []
    for source in pair[1:]:
        stream = TiffImage.open(source)
        if stream is not None:
            streams.append(stream)
    if len(streams) == 2 and max(stream.shape[0] * stream.shape[1] for stream in streams) > max_pixels:
        return streams
    for stream in streams:
        stream.close()
    return None


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
