# Copyright (c) mmdefusion authors. All rights reserved.
"""Fusing of two synchronised videos, or folders of frames, frame by frame."""

from __future__ import annotations

import logging
import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import cv2
import mmcv
import numpy as np
from mmengine.logging import print_log
from rich.progress import track

from mmdefusion.utils.image_io import ImageReadError, match_folders, natural_key, read_image, write_image
from mmdefusion.utils.output_files import OutputError, check_writable, temporary_beside

from .fusion_inferencer import FusionInferencer
from .pairs import Pair
from .results import FailedPair, check_outputs

#: Codecs of OpenCV's own encoder by the suffix of the result.
CODECS = {'.mp4': 'mp4v', '.m4v': 'mp4v', '.mov': 'mp4v', '.mkv': 'mp4v', '.avi': 'MJPG'}
#: Bytes that stay free beyond a frame: the encoder writes an index at the end, without which no frame can be read.
_RESERVE = 2**24
#: What ffmpeg says of a source without sound.
_NO_AUDIO = 'matches no streams'
#: Frame rates that differ by less than this share are the same: 29.97 and 30000 / 1001.
_SAME_RATE = 1e-3


class Stream(NamedTuple):
    """Two synchronised sources, checked.

    Attributes:
        sources: Both paths.
        size: Width and height of a frame.
        fps: Frames per second; None for folders.
        frames: How many frames there are, as far as the files say it; 0 is unknown.
        pairs: The pairs, for folders; videos are decoded on the way.
    """

    sources: tuple[str, str]
    size: tuple[int, int]
    fps: float | None
    frames: int
    pairs: list[Pair] | None


class FusedVideo(NamedTuple):
    """What became of a video.

    Attributes:
        path: Video or folder of frames.
        frames: Frames written.
        fps: Their rate; None in a folder.
        audio: Whether it has the sound of a source.
    """

    path: str
    frames: int
    fps: float | None
    audio: bool


def open_stream(source1: str | os.PathLike, source2: str | os.PathLike) -> Stream:
    """Look at both sources.

    Args:
        source1: Video, or folder of frames.
        source2: The same of the other camera; frames have the same stems.

    Raises:
        ImageReadError: If one cannot be read, or they differ in size, length or frame rate.
    """
    sources = (os.fspath(source1), os.fspath(source2))
    folders = [os.path.isdir(source) for source in sources]
    if any(folders) and not all(folders):
        raise ImageReadError(f'{sources[0]} and {sources[1]}: a folder and no folder; expected two of a kind')
    if all(folders):
        matches, problems = match_folders(*sources)
        if problems:
            raise ImageReadError('\n'.join(problems.values()))
        if not matches:
            raise ImageReadError(f'{sources[0]} and {sources[1]}: no frames found; expected images of the same stems')
        pairs = [Pair(*match) for match in sorted(matches, key=lambda match: natural_key(match.stem))]
        height, width = read_image(pairs[0].source1).bgr.shape[:2]
        return Stream(sources, (width, height), None, len(pairs), pairs)
    readers = [_open_video(source) for source in sources]
    for what, values in (
        ('pixels (width x height)', [f'{reader.width} x {reader.height}' for reader in readers]),
        ('frames', [reader.frame_cnt for reader in readers]),
    ):
        # Some containers do not say how long they are.
        if values[0] != values[1] and not (what == 'frames' and min(values) <= 0):
            raise ImageReadError(f'{sources[1]}: {values[1]} {what}; expected {values[0]} as in {sources[0]}')
    if abs(readers[0].fps - readers[1].fps) > _SAME_RATE * readers[0].fps:
        raise ImageReadError(
            f'{sources[1]}: {readers[1].fps:g} frames per second; expected {readers[0].fps:g} as in {sources[0]}'
        )
    return Stream(sources, readers[0].resolution, readers[0].fps, max(readers[0].frame_cnt, 0), None)


def _open_video(path: str) -> mmcv.VideoReader:
    if not os.path.exists(path):
        raise ImageReadError(f'{path}: no such file; expected a video, or a folder of frames')
    # Frames are read once and in order.
    reader = mmcv.VideoReader(path, cache_capacity=1)
    if not reader.opened or min(reader.resolution) < 1:
        raise ImageReadError(f'{path}: cannot be opened; expected a video that OpenCV decodes, or a folder of frames')
    return reader


def iterate_pairs(stream: Stream) -> Iterator[Pair]:
    """The pairs of a stream, decoded one by one.

    Raises:
        ImageReadError: At the end, if one video was shorter than the other.
    """
    if stream.pairs is not None:
        yield from stream.pairs
        return
    readers = [_open_video(source) for source in stream.sources]
    index = 0
    while True:
        frames = [reader.read() for reader in readers]
        ended = [frame is None for frame in frames]
        if any(ended):
            break
        yield Pair(f'{index:06d}', *frames)
        index += 1
    if not all(ended):
        shorter = ended.index(True)
        raise ImageReadError(
            f'{stream.sources[shorter]}: ends after {index} frames; expected as many as {stream.sources[1 - shorter]}'
        )
    if index == 0 or index < stream.frames:
        raise ImageReadError(f'{stream.sources[0]}: {index} frames can be decoded; expected {stream.frames or "some"}')


def fuse_video(
    fuse: FusionInferencer,
    source1: str | os.PathLike,
    source2: str | os.PathLike,
    out: str | os.PathLike,
    fps: float | None = None,
    batch_size: int = 1,
) -> FusedVideo:
    """Fuse two synchronised streams; no more than two batches of frames are in memory at a time.

    Args:
        fuse: The inferencer.
        source1: Video, or folder of frames.
        source2: The same of the other camera.
        out: Video to write, of a suffix in ``CODECS``, or folder for PNG frames.
        fps: Frames per second; default those of the sources, which folders do not have.
        batch_size: Frames that the network sees at once.

    Returns:
        What was written. The sound of the first source that has one is kept where ffmpeg is installed.

    Raises:
        ImageReadError: If the sources cannot be used together. If that shows only on the way, for example because one
            ends earlier, the frames fused until then are kept: in the folder, or as ``NAME.incomplete.SUFFIX``.
        OutputError: If the result cannot be written; what can be read of it is kept in the same way.
        ValueError: If the suffix is unknown, the frame rate is missing or none, or the result would overwrite a source.
    """
    out = Path(out)
    stream = open_stream(source1, source2)
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise ValueError(f'fps must be a finite number above 0, found {fps}')
    rate = stream.fps if fps is None else fps
    to_video = out.suffix.lower() in CODECS
    if not to_video and out.suffix:
        raise ValueError(f'{out}: unknown kind of video; expected one of {sorted(CODECS)}, or a folder')
    if to_video and not rate:
        raise ValueError('folders of frames have no frame rate; expected fps to be given')
    if to_video and out.is_dir():
        raise ValueError(f'{out}: a folder; expected the name of a video, or a folder without a suffix for frames')
    if os.path.realpath(out) in map(os.path.realpath, stream.sources):
        raise ValueError(f'{out}: would overwrite a source; expected another place for the result')
    if to_video:
        check_writable(out.parent)
    else:
        check_outputs(stream.pairs or [], out, parts=False)
    writer = VideoWriter(out, rate, stream.size) if to_video else FrameWriter(out)
    with writer:
        results = fuse.stream(iterate_pairs(stream), batch_size)
        for result in track(results, 'Fusing', stream.frames or None) if fuse.show_progress else results:
            if isinstance(result, FailedPair):
                raise ImageReadError(result.reason)
            writer.write(result.name, result.images['fused'])
    audio = to_video and stream.pairs is None and add_audio(out, stream.sources)
    return FusedVideo(str(out), writer.frames, rate if to_video else None, audio)


class FrameWriter:
    """Writes frames as PNG files into a folder; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.frames = 0

    def __enter__(self) -> FrameWriter:
        return self

    def write(self, name: str, image: np.ndarray) -> None:
        """Write one frame."""
        write_image(self.folder / f'{name}.png', image)
        self.frames += 1

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if isinstance(error, ImageReadError) and self.frames:
            raise ImageReadError(f'{error}; the {self.frames} frames before are in {self.folder}') from error


class VideoWriter:
    """Writes a video under a temporary name, and gives it its own when it is complete; a context manager.

    When something ends it before, the frames that can be read are kept as ``NAME.incomplete.SUFFIX``.

    Args:
        path: The file; its suffix chooses the codec.
        fps: Frames per second.
        size: Width and height of a frame.

    Raises:
        OutputError: If the file cannot be opened, the disk is nearly full, or frames are missing in it at the end.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        self.path = path
        self.size = size
        self.frames = 0
        self._fps = fps
        self._temporary = temporary_beside(path)

    def __enter__(self) -> VideoWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        codec = cv2.VideoWriter_fourcc(*CODECS[self.path.suffix.lower()])
        self._writer = cv2.VideoWriter(str(self._temporary), codec, self._fps, self.size)
        if not self._writer.isOpened():
            self._temporary.unlink(missing_ok=True)
            raise OutputError(f'{self.path}: cannot be written; expected a writable folder and a codec that OpenCV has')
        return self

    def write(self, name: str, image: np.ndarray) -> None:
        """Write one frame, (H, W) or (H, W, 3) BGR, uint8, or uint16 that is rounded to 8 bits."""
        if image.shape[1::-1] != self.size:
            raise ImageReadError(
                f'frame {name}: {image.shape[1]} x {image.shape[0]} pixels (width x height); expected the size of the '
                f'first frame, {self.size[0]} x {self.size[1]}'
            )
        if image.dtype == np.uint16:
            image = np.rint(image / 257).astype(np.uint8)
        if shutil.disk_usage(self.path.parent).free < image.nbytes + _RESERVE:
            raise OutputError(f'{self.path}: the disk is full after {self.frames} frames')
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image)
        self.frames += 1

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._writer.release()
        # OpenCV is silent about frames that it could not write, and a file may promise more of them than it has.
        written = count_frames(self._temporary)
        if kind is None and written == self.frames:
            os.replace(self._temporary, self.path)
            return
        if kind is None:
            error = OutputError(f'{self.path}: {written} of {self.frames} frames could be written; is the disk full?')
        kept = self._keep(written)
        if isinstance(error, OutputError | ImageReadError):
            raise type(error)(f'{error}; {kept}') from error
        if self.frames:
            print_log(f'{self.path}: not finished; {kept}', logger='current', level=logging.WARNING)

    def _keep(self, frames: int) -> str:
        """Keeps what can be read under a name that says what it is; tells what and where."""
        if not frames:
            self._temporary.unlink(missing_ok=True)
            return 'no frame can be read'
        kept = self.path.with_name(f'{self.path.stem}.incomplete{self.path.suffix}')
        os.replace(self._temporary, kept)
        return f'the first {frames} are in {kept}'


def count_frames(path: Path) -> int:
    """Frames that can be decoded, whatever the file says about itself."""
    capture, frames = cv2.VideoCapture(str(path)), 0
    while capture.grab():
        frames += 1
    capture.release()
    return frames


def add_audio(video: Path, sources: tuple[str, str]) -> bool:
    """Give a video the sound of the first source that has one: as it is, or as AAC where the file cannot take that.

    Args:
        video: The file; replaced when the new one is complete, and left as it is, with a warning, if that fails.
        sources: Videos of the same length.

    Returns:
        Whether it has sound now. Always False without ffmpeg.
    """
    if shutil.which('ffmpeg') is None:
        return False
    for source in sources:
        for codec in ('copy', 'aac'):
            problem = _join_audio(video, source, codec)
            if problem is None:
                return True
            if _NO_AUDIO in problem:
                break
        else:
            print_log(f'{video}: silent, no sound from {source} ({problem})', logger='current', level=logging.WARNING)
    return False


def _join_audio(video: Path, source: str, codec: str) -> str | None:
    """Put the sound of a source into a video; why that failed, or None."""
    temporary = temporary_beside(video)
    command = ['ffmpeg', '-v', 'error', '-y', '-i', str(video), '-i', source, '-map', '0:v:0', '-map', '1:a']
    command += ['-c:v', 'copy', '-c:a', codec, str(temporary)]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, text=True, errors='replace')
        if done.returncode == 0:
            os.replace(temporary, video)
            return None
    finally:
        temporary.unlink(missing_ok=True)
    return ' '.join(done.stderr.split()) or f'ffmpeg ended with {done.returncode}'
