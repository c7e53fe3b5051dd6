# Copyright (c) mmdefusion authors. All rights reserved.
"""Reading and writing of TIFF files region by region, for images that do not fit into memory."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import tifffile

from .image_io import ImageReadError, to_source_image
from .output_files import OutputError, temporary_beside

TIFF_SUFFIXES = ('.tif', '.tiff')
#: Rows of a strip in files written here: few enough for other programs to read them piece by piece.
_ROWS_PER_STRIP = 16


class TiffImage:
    """A TIFF file that is read where it is sliced, ``image[top:bottom, left:right]``, as (h, w, 3) BGR in 0..255.

    Uncompressed strips are read row by row, so that a region costs its own size. Of compressed files and tiled ones
    the strips and tiles that a region touches are decoded.

    Attributes:
        path: The file.
        shape: (H, W, 3).
        depth: Bits per channel, 8 or 16; a float image counts as 16.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = os.fspath(path)
        self._tiff = tifffile.TiffFile(self.path)
        try:
            self._page = self._tiff.pages[0]
            self._channels = self._page.samplesperpixel
            self.shape = (self._page.imagelength, self._page.imagewidth, 3)
            self.depth = 8 if self._page.dtype == np.uint8 else 16
            self._can_stream = self._has_streamable_layout()
        except BaseException:
            self._tiff.close()
            raise

    @classmethod
    def open(cls, path: str | os.PathLike) -> TiffImage | None:
        """Open a file, or give None where it must be decoded as a whole.

        That is everything but single-page gray or RGB files of 8 or 16 bits or floats, in interleaved strips or tiles
        of less than a tenth of the image, without rotation.
        """
        if not str(path).lower().endswith(TIFF_SUFFIXES):
            return None
        try:
            image = cls(path)
        except Exception:
            # Broken files make tifffile raise all kinds. The ordinary reader says what is wrong.
            return None
        if image._can_stream:
            return image
        image.close()
        return None

    def _has_streamable_layout(self) -> bool:
        page = self._page
        orientation = page.tags.get('Orientation')
        raw = page.compression == tifffile.COMPRESSION.NONE and not page.is_tiled
        segment = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
        sizes = (*self.shape, *segment)
        if not all(isinstance(size, int) and size > 0 for size in sizes):
            return False
        segments = math.prod(-(-size // part) for size, part in zip(self.shape[:2], segment, strict=True))
        return (
            len(self._tiff.pages) == 1
            and page.dtype in (np.uint8, np.uint16, np.float32)
            and self._channels in (1, 3, 4)
            and page.photometric in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)
            and page.planarconfig == tifffile.PLANARCONFIG.CONTIG
            and page.imagedepth == 1
            and (orientation is None or orientation.value == 1)
            and page.bitspersample == page.dtype.itemsize * 8
            and len(page.dataoffsets) == len(page.databytecounts) == segments
            and all(page.databytecounts)
            and (raw or len(page.dataoffsets) >= 10)
        )

    def __getitem__(self, region: tuple[slice, slice]) -> np.ndarray:
        (top, bottom, _), (left, right, _) = (
            part.indices(size) for part, size in zip(region, self.shape[:2], strict=True)
        )
        raw = self._page.compression == tifffile.COMPRESSION.NONE and not self._page.is_tiled
        try:
            pixels = np.empty((bottom - top, right - left, self._channels), self._page.dtype)
            (self._read_rows if raw else self._read_segments)(pixels, top, left)
        except ImageReadError:
            raise
        except Exception as error:  # A broken file may say anything about where its pixels are, and how many.
            raise ImageReadError(f'{self.path}: cannot be read ({type(error).__name__}: {error})') from error
        if self._channels >= 3:
            pixels = pixels[..., 2::-1]
        return to_source_image(pixels, self.path).bgr

    def _read_rows(self, pixels: np.ndarray, top: int, left: int) -> None:
        page = self._page
        dtype = page.dtype.newbyteorder(self._tiff.byteorder)
        pixel_bytes = self._channels * dtype.itemsize
        for row in range(len(pixels)):
            strip, inner = divmod(top + row, page.rowsperstrip)
            offset = page.dataoffsets[strip] + (inner * self.shape[1] + left) * pixel_bytes
            self._tiff.filehandle.seek(offset)
            content = self._tiff.filehandle.read(pixels.shape[1] * pixel_bytes)
            if len(content) < pixels.shape[1] * pixel_bytes:
                raise ImageReadError(f'{self.path}: truncated in row {top + row}; expected {self.shape[0]} whole rows')
            pixels[row] = np.frombuffer(content, dtype).reshape(-1, self._channels)

    def _read_segments(self, pixels: np.ndarray, top: int, left: int) -> None:
        page = self._page
        height, width = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, self.shape[1])
        across = -(-self.shape[1] // width)
        bottom, right = top + pixels.shape[0], left + pixels.shape[1]
        for row in range(top // height, -(-bottom // height)):
            for column in range(left // width, -(-right // width)):
                index = row * across + column
                self._tiff.filehandle.seek(page.dataoffsets[index])
                content = self._tiff.filehandle.read(page.databytecounts[index])
                try:
                    segment = page.decode(content, index, jpegtables=page.jpegtables)[0][0]
                except Exception as error:  # Every codec has exceptions of its own.
                    raise ImageReadError(f'{self.path}: segment {index} cannot be decoded ({error})') from error
                y, x = row * height, column * width
                rows = slice(max(top, y), min(bottom, y + len(segment)))
                columns = slice(max(left, x), min(right, x + segment.shape[1]))
                pixels[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = segment[
                    rows.start - y : rows.stop - y, columns.start - x : columns.stop - x
                ]

    def close(self) -> None:
        """Close the file."""
        self._tiff.close()


class TiffOutput:
    """A TIFF file that is written region by region, ``image[top:bottom, left:right] = pixels``, in BGR order.

    A context manager. All of the file's space is reserved at the start; it gets its name at the end, if nothing went
    wrong until then.

    Args:
        path: The file. Missing folders are made.
        shape: (H, W) or (H, W, 3).
        dtype: uint8 or uint16.

    Raises:
        OutputError: The folder cannot be written to or has no room, or the file cannot get its name.
    """

    def __init__(self, path: str | os.PathLike, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.path = Path(path)
        self.shape = shape
        self._dtype = np.dtype(dtype).newbyteorder('<')
        self._temporary = temporary_beside(self.path)

    def __enter__(self) -> TiffOutput:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tifffile.TiffWriter(
                self._temporary, bigtiff=np.prod(self.shape) * self._dtype.itemsize > 2**31, byteorder='<'
            ) as writer:
                offset, count = writer.write(
                    shape=self.shape,
                    dtype=self._dtype,
                    photometric='rgb' if len(self.shape) == 3 else 'minisblack',
                    rowsperstrip=_ROWS_PER_STRIP,
                    metadata=None,
                    returnoffset=True,
                )
            self._offset = offset
            self._file = os.open(self._temporary, os.O_WRONLY)
            if hasattr(os, 'posix_fallocate'):
                os.posix_fallocate(self._file, offset, count)
        except OSError as error:
            self._discard()
            raise OutputError.of(self.path, error) from error
        return self

    def __setitem__(self, region: tuple[slice, slice], pixels: np.ndarray) -> None:
        top, left = (part.start for part in region)
        if pixels.ndim == 3:
            pixels = pixels[..., ::-1]
        pixels = np.ascontiguousarray(pixels, self._dtype)
        pixel_bytes = self._dtype.itemsize * (self.shape[2] if len(self.shape) == 3 else 1)
        try:
            for row, line in enumerate(pixels, top):
                os.lseek(self._file, self._offset + (row * self.shape[1] + left) * pixel_bytes, os.SEEK_SET)
                content = memoryview(line).cast('B')
                while content:
                    content = content[os.write(self._file, content) :]
        except OSError as error:
            raise OutputError.of(self.path, error) from error

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            if kind is None:
                os.close(self._file)
                del self._file
                os.replace(self._temporary, self.path)
        except OSError as error:
            raise OutputError.of(self.path, error) from error
        finally:
            self._discard()

    def _discard(self) -> None:
        if hasattr(self, '_file'):
            os.close(self._file)
            del self._file
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)


def open_tiff_array(path: str | os.PathLike) -> np.ndarray:
    """Memory-map a file that :class:`TiffOutput` wrote: (H, W) or (H, W, 3) BGR, read-only."""
    pixels = tifffile.memmap(path, mode='r')
    return pixels[..., ::-1] if pixels.ndim == 3 else pixels
