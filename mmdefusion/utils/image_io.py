# Copyright (c) mmdefusion authors. All rights reserved.
"""Reading, writing and pairing of image files, with one clear error for every file that cannot be used."""

from __future__ import annotations

import io
import os
import uuid
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from mmengine import fileio
from PIL import Image, UnidentifiedImageError

IMAGE_SUFFIXES = ('.bmp', '.gif', '.jpeg', '.jpg', '.pbm', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')
SUFFIXES_16_BIT = ('.png', '.tif', '.tiff')
EXPECTED = 'expected a gray or RGB image of 8 or 16 bits, or a float one in [0, 1]'
# Pillow's names of the pixel layouts that mean gray or RGB. 'I' (32-bit integers) is read for the sake of 16-bit
# files, which old Pillow versions report under that name; the decoder then tells the true depth.
GRAY_AND_RGB_MODES = ('1', 'L', 'LA', 'La', 'P', 'PA', 'RGB', 'RGBA', 'RGBa', 'RGBX', 'I', 'I;16', 'I;16B', 'F')


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
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
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


def quantize(image: np.ndarray, depth: int) -> np.ndarray:
    """Round pixel values to what a file can hold.

    Args:
        image: Values 0..255 of any type; what lies outside is clipped.
        depth: Bits per channel, 8 or 16.

    Returns:
        uint8, or uint16 with 65535 for 255: the inverse of what :class:`SourceImage` says.
    """
    scale, dtype = (257, np.uint16) if depth == 16 else (1, np.uint8)
    return np.rint(np.clip(image.astype(np.float64), 0, 255) * scale).astype(dtype)


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write an image file; whoever looks sees the old file or the complete new one, never a part.

    Args:
        path: Where to write; the suffix chooses the format. Missing folders are made.
        image: Pixels of shape (H, W) or (H, W, 3) BGR, uint8, or uint16 for PNG and TIFF.

    Raises:
        ValueError: If the type is another, or the suffix names no format that holds it.
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


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write a file under a temporary name beside its place, then move it there in one step."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{uuid.uuid4().hex}.tmp')
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def list_images(folder: str | os.PathLike) -> dict[str, list[str]]:
    """List the image files of one folder by stem.

    Args:
        folder: Folder to look in; its sub-folders and hidden files are not looked at.

    Returns:
        Sorted stems, each with the sorted paths that have it (more than one when only the suffixes differ).

    Raises:
        ImageReadError: If there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageReadError(f'{folder}: not a folder; expected a folder of images ({", ".join(IMAGE_SUFFIXES)})')
    images: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith('.') and path.is_file():
            images.setdefault(path.stem, []).append(str(path))
    return images


def match_folders(
    folder1: str | os.PathLike, folder2: str | os.PathLike, stems: list[str] | None = None
) -> tuple[list[PathPair], dict[str, str]]:
    """Match the images of two folders by stem, whatever their suffixes.

    Args:
        folder1: Folder of the first sources.
        folder2: Folder of the second sources.
        stems: The stems to use; default every stem of either folder.

    Returns:
        Pairs in the order of the stems, and for every stem that makes no pair one sentence saying why.

    Raises:
        ImageReadError: If one of the folders does not exist.
    """
    images1, images2 = list_images(folder1), list_images(folder2)
    pairs, problems = [], {}
    for stem in sorted(images1.keys() | images2.keys()) if stems is None else stems:
        found = images1.get(stem, []), images2.get(stem, [])
        if len(found[0]) == len(found[1]) == 1:
            pairs.append(PathPair(stem, found[0][0], found[1][0]))
            continue
        for paths, folder in zip(found, (folder1, folder2), strict=True):
            if not paths:
                problems[stem] = f'{Path(folder) / stem}.*: no such image; expected the partner of the same stem'
            elif len(paths) > 1:
                names = ', '.join(Path(path).name for path in paths)
                problems[stem] = f'{Path(folder) / stem}.*: {len(paths)} images ({names}); expected one'
    return pairs, problems
