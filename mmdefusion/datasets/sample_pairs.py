# Copyright (c) mmdefusion authors. All rights reserved.
"""Small sample pairs of three fusion tasks, made on the spot and without a download.

scikit-image's own photos give the multi-focus and the multi-exposure pair; the infrared-visible pair is drawn. All are
seeded. They are for trying things out: no result on them says how good a network is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mmdefusion.utils.image_io import write_image

from .sample_scene import draw_street_scene
from .synthesis import Camera, defocus

SAMPLE_TASKS = ('infrared_visible', 'multi_focus', 'multi_exposure')
# Colour photos of scikit-image's installed package (its other ones would be downloaded) that no sample pair shows.
PHOTOS = ('astronaut', 'chelsea', 'hubble_deep_field', 'immunohistochemistry', 'retina', 'rocket')
CAMERA = Camera()


class SamplePair(NamedTuple):
    """A registered pair.

    Attributes:
        task: One of ``SAMPLE_TASKS``.
        source1: (H, W, 3) BGR uint8; the visible, near-focused or short-exposed image.
        source2: (H, W, 3) BGR uint8; the infrared, far-focused or long-exposed image.
        ground_truth: (H, W, 3) BGR uint8, what fusion should give; None for infrared and visible.
    """

    task: str
    source1: np.ndarray
    source2: np.ndarray
    ground_truth: np.ndarray | None


def make_sample_pairs(tasks: Sequence[str] | None = None, height: int = 320, seed: int = 0) -> dict[str, SamplePair]:
    """Make one sample pair of each task.

    Args:
        tasks: Names out of ``SAMPLE_TASKS``; default all.
        height: Height of the images in pixels; the width follows from the scene (3 : 4 or 2 : 3).
        seed: Seed of all noise.

    Returns:
        The pairs by task.

    Raises:
        ValueError: If a task is unknown.
        ImportError: If scikit-image is needed and not installed.
    """
    makers = dict(zip(SAMPLE_TASKS, (_infrared_visible, _multi_focus, _multi_exposure), strict=True))
    tasks = SAMPLE_TASKS if tasks is None else tasks
    unknown = sorted(set(tasks) - set(SAMPLE_TASKS))
    if unknown:
        raise ValueError(f'unknown sample tasks {unknown}; expected some of {list(SAMPLE_TASKS)}')
    return {task: SamplePair(task, *makers[task](height, seed)) for task in tasks}


def write_sample_pairs(folder: str | os.PathLike, tasks: Sequence[str] | None = None, height: int = 320) -> list[Path]:
    """Write sample pairs as ``source1/TASK.png``, ``source2/TASK.png`` and, where known, ``ground_truth/TASK.png``.

    Args:
        folder: Where to write; it suits ``PairedImageDataset`` and the two folder arguments of ``mmdefusion fuse``.
        tasks: See :func:`make_sample_pairs`.
        height: See :func:`make_sample_pairs`.

    Returns:
        The paths of all written files.
    """
    written = []
    for task, pair in make_sample_pairs(tasks, height).items():
        for kind in ('source1', 'source2', 'ground_truth'):
            image = getattr(pair, kind)
            if image is not None:
                written.append(Path(folder) / kind / f'{task}.png')
                write_image(written[-1], image)
    return written


def export_photos(folder: str | os.PathLike, short_side: int = 288) -> list[Path]:
    """Write scikit-image's colour photos, apart from those in the sample pairs, as PNG files.

    Args:
        folder: Where to write.
        short_side: Photos with a longer short side are reduced to this many pixels.

    Returns:
        The paths of the written files.
    """
    data = _import_photos()
    written = []
    for name in PHOTOS:
        photo = np.ascontiguousarray(getattr(data, name)()[..., 2::-1])
        scale = short_side / min(photo.shape[:2])
        if scale < 1:
            photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        written.append(Path(folder) / f'{name}.png')
        write_image(written[-1], photo)
    return written


def _import_photos():
    try:
        from skimage import data
    except ImportError as error:
        raise ImportError('sample photos come with scikit-image: pip install scikit-image') from error
    return data


def _to_light(photo: np.ndarray, height: int) -> np.ndarray:
    """Reduce an RGB photo to a height and undo its gamma: BGR, linear light in [0, 1]."""
    width = round(photo.shape[1] * height / photo.shape[0])
    return CAMERA.linearize(cv2.resize(photo[..., 2::-1], (width, height), interpolation=cv2.INTER_AREA))


def _infrared_visible(height: int, seed: int) -> tuple:
    return (*draw_street_scene((height, round(height * 4 / 3)), seed), None)


def _multi_focus(height: int, seed: int) -> tuple:
    """Focus once on the motorcycle and once on the wall behind it; its measured disparity tells the blur."""
    photo, _, disparity = _import_photos().stereo_motorcycle()
    light = _to_light(photo, height)
    disparity = np.array(disparity, np.float32)
    unknown = ~np.isfinite(disparity)
    disparity[unknown] = 0
    disparity = cv2.medianBlur(cv2.inpaint(disparity, unknown.astype(np.uint8), 5, cv2.INPAINT_TELEA), 5)
    disparity = cv2.resize(disparity, light.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    near, far = np.percentile(disparity, (85, 15))
    rng = np.random.default_rng(seed)
    strength = 0.018 * height / (near - far)
    sources = [CAMERA.photograph(defocus(light, disparity, focus, strength), rng) for focus in (near, far)]
    return (*sources, CAMERA.develop(light))


def _multi_exposure(height: int, seed: int) -> tuple:
    """Photograph a scene of high contrast with a short and a long exposure."""
    light = _to_light(_import_photos().coffee(), height)
    rows, columns = light.shape[:2]
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    # A window on the left makes the contrast larger than either exposure can hold.
    lit = light * (0.25 + 2.2 * np.exp(-((x / columns) ** 2 + (y / rows - 0.4) ** 2) / 0.35))[..., None]
    rng = np.random.default_rng(seed)
    return (*(CAMERA.photograph(lit * exposure, rng) for exposure in (0.16, 3.2)), CAMERA.develop(light))
