# Copyright (c) mmdefusion authors. All rights reserved.
"""Reading, writing and pairing of image files, with one clear error for every file that cannot be used."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from mmengine import fileio
from PIL import Image, UnidentifiedImageError

from .output_files import write_bytes

IMAGE_SUFFIXES = ('.bmp', '.gif', '.jpeg', '.jpg', '.pbm', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')
SUFFIXES_16_BIT = ('.png', '.tif', '.tiff')
STEM_PATTERN = '([^/]+)'
EXPECTED = 'expected a gray or RGB image of 8 or 16 bits, or a float one in [0, 1]'
# Pillow's names of the pixel layouts that mean gray or RGB. 'I' (32-bit integers) is read for the sake of 16-bit
# files, which old Pillow versions report under that name; the decoder then tells the true depth.
GRAY_AND_RGB_MODES = ('1', 'L', 'LA', 'La', 'P', 'PA', 'RGB', 'RGBA', 'RGBa', 'RGBX', 'I', 'I;16', 'I;16B', 'F')

#: Values that are worked on at a time: in float64 they fill a processor's cache.
_STRIP_VALUES = 2**17


class ImageReadError(ValueError):
    """An image that cannot be used: the message names it, what was found and what was expected."""


class SourceImage(NamedTuple):
    """One decoded image.

    Attributes:
        bgr: Pixels of shape (H, W, 3), channel order BGR, values 0..255: uint8 for 8 bits, else float32 (a 16-bit
            value v becomes ``v / 257``, so that nothing is lost and 65535 becomes 255).
        depth: Bits per channel of the file, 8 or 16; a float image counts as 16.
    """

    bgr: np.ndarray
    depth: int


class ImageSide(NamedTuple):
    """What :func:`match_images` looks for.

    Attributes:
        folder: Folder of the images.
        pattern: See :func:`list_images`.
        pick: Which image to take of several that share a name: 0 the first, -1 the last in natural order; None expects
            exactly one.
    """

    folder: str | os.PathLike
    pattern: str = STEM_PATTERN
    pick: int | None = None


class ImageMatch(NamedTuple):
    """Images of one name, one of each side."""

    name: str
    paths: tuple[str, ...]


class PathPair(NamedTuple):
    """Two files of the same stem."""

    stem: str
    path1: str
    path2: str


def read_image(path: str | os.PathLike) -> SourceImage:
    """Read an image file as BGR.

    Gray becomes three equal channels, a palette is resolved, alpha is dropped and the EXIF orientation is applied:
    what the stock ``LoadImageFromFile`` does, so both loaders give the same pixels.

    Args:
        path: Path or any address that ``mmengine.fileio`` reads.

    Returns:
        Pixels and bit depth.

    Raises:
        ImageReadError: If the file is missing, empty, truncated, of an unsupported kind (CMYK, LAB, 32-bit integers,
            several pages), has no pixels, or is a float image with NaN or values outside [0, 1].
    """
    path = os.fspath(path)
    try:
        content = fileio.get(path)
    except OSError as error:
        raise ImageReadError(f'{path}: cannot be opened ({error.strerror or error}); {EXPECTED}') from error
    if not content:
        raise ImageReadError(f'{path}: the file is empty (0 bytes); {EXPECTED}')
    pixels = _inspect(content, path)
    if pixels is None:
        try:
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        except cv2.error as error:
            raise ImageReadError(f'{path}: cannot be decoded ({error.err}); {EXPECTED}') from error
    if pixels is None:
        raise ImageReadError(f'{path}: truncated, or not an image of a supported format; {EXPECTED}')
    return to_source_image(pixels, path)


def _inspect(content: bytes, path: str) -> np.ndarray | None:
    """Find with Pillow what OpenCV passes over in silence: truncation, CMYK, several pages.

    Returns:
        The pixels of a single-channel float image, which OpenCV cannot read as colour; else None.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            pages = getattr(image, 'n_frames', 1)
            # An MPO file is a JPEG photo that carries a preview of itself.
            if pages > 1 and image.format != 'MPO':
                raise ImageReadError(f'{path}: {image.format} file with {pages} pages; expected a single image')
            if image.mode not in GRAY_AND_RGB_MODES:
                raise ImageReadError(f'{path}: {image.mode} image; {EXPECTED}')
            image.load()
            return np.asarray(image) if image.mode == 'F' else None
    except UnidentifiedImageError:
        # Pillow knows no 16-bit RGB or float RGB TIFF: OpenCV alone decides.
        return None
    except ImageReadError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageReadError(
            f'{path}: {error}; expected a smaller image, or one stored as TIFF in uncompressed or small strips or '
            'tiles, which is read piece by piece'
        ) from error
    except Exception as error:  # Pillow's decoders raise all kinds on what a broken file says.
        raise ImageReadError(f'{path}: broken or truncated image ({error}); {EXPECTED}') from error


def to_source_image(pixels: np.ndarray, name: str) -> SourceImage:
    """Bring decoded pixels into the form of :class:`SourceImage`.

    Args:
        pixels: Array of shape (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA; uint8, uint16, or float in [0, 1].
        name: What to call the image in an error.

    Returns:
        The image, without alpha.

    Raises:
        ImageReadError: If shape, type or values are others than these.
    """
    found = f'{name}: array of shape {pixels.shape} and type {pixels.dtype}'
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        raise ImageReadError(f'{found}; expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)')
    if pixels.size == 0:
        raise ImageReadError(f'{found} has no pixels; expected at least one')
    pixels = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[..., :3]
    if pixels.dtype == np.uint8:
        return SourceImage(np.ascontiguousarray(pixels), 8)
    if pixels.dtype == np.uint16:
        return SourceImage(pixels.astype(np.float32) / 257, 16)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise ImageReadError(f'{found}; expected uint8, uint16 or float')
    if not np.isfinite(pixels).all():
        count = int((~np.isfinite(pixels)).any(axis=2).sum())
        raise ImageReadError(f'{name}: {count} pixels are NaN or infinite; expected finite values in [0, 1]')
    if pixels.min() < 0 or pixels.max() > 1:
        raise ImageReadError(
            f'{name}: float image with values in [{pixels.min():g}, {pixels.max():g}]; expected values in [0, 1]'
        )
    return SourceImage(pixels.astype(np.float32) * 255, 16)


def row_strips(image: np.ndarray) -> Iterator[slice]:
    """Rows of an image (H, ...), as many at a time as stay in a processor's cache with what is made of them."""
    rows = max(1, _STRIP_VALUES // image[:1].size)
    return (slice(top, top + rows) for top in range(0, len(image), rows))


def quantize(image: np.ndarray, depth: int) -> np.ndarray:
    """Round pixel values to what a file can hold.

    Args:
        image: Values 0..255 of any type; what lies outside is clipped.
        depth: Bits per channel, 8 or 16.

    Returns:
        uint8, or uint16 with 65535 for 255: the inverse of what :class:`SourceImage` says.
    """
    scale, dtype = (257, np.uint16) if depth == 16 else (1, np.uint8)
    result = np.empty(image.shape, dtype)
    for rows in row_strips(image):
        result[rows] = np.rint(np.clip(image[rows].astype(np.float64), 0, 255) * scale)
    return result


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write an image file; whoever looks sees the old file or the complete new one, never a part.

    Args:
        path: Where to write; the suffix chooses the format. Missing folders are made.
        image: Pixels of shape (H, W) or (H, W, 3) BGR, uint8, or uint16 for PNG and TIFF.

    Raises:
        ValueError: If the type is another, or the suffix names no format that holds it.
        OutputError: If the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    allowed = {np.dtype(np.uint8): IMAGE_SUFFIXES, np.dtype(np.uint16): SUFFIXES_16_BIT}.get(image.dtype)
    if allowed is None:
        raise ValueError(f'{path}: cannot write an image of type {image.dtype}; expected uint8 or uint16')
    if suffix not in allowed:
        raise ValueError(f'{path}: cannot write {image.dtype} images as {suffix!r}; expected one of {allowed}')
    _, content = cv2.imencode(suffix, image)
    write_bytes(path, content.tobytes())


def list_images(folder: str | os.PathLike, pattern: str = STEM_PATTERN) -> dict[str, list[str]]:
    """List the image files of one folder by name.

    Args:
        folder: Folder to look in; hidden files and folders are not looked at.
        pattern: Regular expression for the whole path of an image below the folder, without suffix and with ``/``
            between folders. The first group that takes part is the image's name; what does not match is left out.
            Sub-folders are looked into as deep as the pattern has slashes. Default: the stems of the folder's files.

    Returns:
        Sorted names, each with the paths that have it in natural order (2 before 10).

    Raises:
        ImageReadError: If there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageReadError(f'{folder}: not a folder; expected a folder of images ({", ".join(IMAGE_SUFFIXES)})')
    expression = re.compile(pattern)
    images: dict[str, list[str]] = {}
    for path in _walk_images(folder, depth=pattern.replace('[^/]', '').count('/')):
        match = expression.fullmatch(path.relative_to(folder).with_suffix('').as_posix())
        if match:
            name = next(group for group in match.groups() if group is not None)
            images.setdefault(name, []).append(str(path))
    return {name: sorted(images[name], key=natural_key) for name in sorted(images)}


def _walk_images(folder: Path, depth: int) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith('.'):
            continue
        if path.is_dir():
            if depth:
                yield from _walk_images(path, depth - 1)
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            yield path


def natural_key(path: str) -> list[str | int]:
    """A key that sorts 2 before 10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r'(\d+)', path)]


def match_images(sides: Sequence[ImageSide], names: list[str] | None = None) -> tuple[list[ImageMatch], dict[str, str]]:
    """Match the images of several folders by name, whatever their suffixes.

    Args:
        sides: Where to look and for what.
        names: The names to use; default every name of any side.

    Returns:
        Matches in the order of the names, and for every name without a match one sentence saying why.

    Raises:
        ImageReadError: If a folder does not exist.
    """
    listed = [list_images(side.folder, side.pattern) for side in sides]
    matches, problems = [], {}
    for name in sorted(set().union(*listed)) if names is None else names:
        chosen = []
        for side, images in zip(sides, listed, strict=True):
            paths = images.get(name, [])
            if not paths or (side.pick is None and len(paths) > 1):
                problems[name] = _describe_problem(name, side, paths)
            else:
                chosen.append(paths[side.pick or 0])
        if name in problems:
            continue
        if len(set(chosen)) < len(chosen):
            problems[name] = f'{name}: {chosen[0]} would be its own partner; expected two images'
            continue
        matches.append(ImageMatch(name, tuple(chosen)))
    return matches, problems


def _describe_problem(name: str, side: ImageSide, paths: list[str]) -> str:
    plain = side.pattern == STEM_PATTERN
    where = f'{Path(side.folder) / name}.*' if plain else f'{name}: in {side.folder} as {side.pattern}'
    if paths:
        return f'{where}: {len(paths)} images ({", ".join(Path(path).name for path in paths)}); expected one'
    return f'{where}: no such image; expected the partner of the same {"stem" if plain else "name"}'


def match_folders(
    folder1: str | os.PathLike,
    folder2: str | os.PathLike,
    stems: list[str] | None = None,
    suffixes: tuple[str, str] = ('', ''),
) -> tuple[list[PathPair], dict[str, str]]:
    """Match the images of two folders by what their stems have before a suffix each, see :func:`match_images`."""
    patterns = [f'{STEM_PATTERN}{re.escape(suffix)}' for suffix in suffixes]
    matches, problems = match_images([ImageSide(folder1, patterns[0]), ImageSide(folder2, patterns[1])], stems)
    return [PathPair(match.name, *match.paths) for match in matches], problems
