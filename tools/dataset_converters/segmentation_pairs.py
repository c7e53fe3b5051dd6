# Copyright (c) mmdefusion authors. All rights reserved.
"""Brings published sets of labelled infrared-visible pairs into one layout that mmseg reads: SPLIT/{vi,ir,labels}/NAME.

Everything is checked before anything is written.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

import mmdefusion  # noqa: F401  checks the environment before anything is built
from mmdefusion.utils.image_io import write_image

IGNORED = 255
SHOWN_PROBLEMS = 10
MIRRORED = '_flip'


class Source(NamedTuple):
    """Files of one pair; without ``infrared``, the visible file holds it as its fourth channel."""

    name: str
    visible: Path
    infrared: Path | None
    labels: Path


class Published(NamedTuple):
    """A published set."""

    splits: dict[str, int]
    classes: int
    find: Callable[[Path, str], Iterator[Source]]


class Sample(NamedTuple):
    """A decoded pair with its labels: (H, W, 3) BGR, (H, W) or (H, W, 3), and (H, W) uint8."""

    visible: np.ndarray
    infrared: np.ndarray
    labels: np.ndarray


def find_in_folders(visible: str, infrared: str, labels: str) -> Callable[[Path, str], Iterator[Source]]:
    """Sets that have a folder for each split and side: every name that occurs on any side."""

    def find(root: Path, split: str) -> Iterator[Source]:
        folders = [root / split / side for side in (visible, infrared, labels)]
        missing = [str(folder) for folder in folders if not folder.is_dir()]
        if missing:
            raise ValueError(
                f'{", ".join(missing)}: no such folder; expected {split}/{{{visible},{infrared},{labels}}}'
            )
        for name in sorted({path.name for folder in folders for path in folder.glob('*.png')}):
            yield Source(name, *(folder / name for folder in folders))

    return find


def find_mfnet(root: Path, split: str) -> Iterator[Source]:
    """MFNet: images of four channels, names in SPLIT.txt. Mirrored copies, which its scripts list, are left out."""
    names = root / f'{split}.txt'
    if not names.is_file():
        raise ValueError(f'{names}: no such file; expected the names of the split, one a line')
    for name in names.read_text(encoding='utf-8').split():
        if not name.endswith(MIRRORED):
            yield Source(f'{name}.png', root / 'images' / f'{name}.png', None, root / 'labels' / f'{name}.png')


DATASETS = {
    'msrs': Published(dict(train=1083, test=361), 9, find_in_folders('vi', 'ir', 'Segmentation_labels')),
    'mfnet': Published(dict(train=784, val=392, test=393), 9, find_mfnet),
    'fmb': Published(dict(train=1220, test=280), 15, find_in_folders('Visible', 'Infrared', 'Label')),
    'pst900': Published(dict(train=597, test=288), 5, find_in_folders('rgb', 'thermal', 'labels')),
}


def read(path: Path) -> np.ndarray:
    """Decodes a file as it is, except for its palette.

    Raises:
        ValueError: If it is missing or broken.
    """
    if not path.is_file():
        raise ValueError(f'{path}: no such file; expected the partner of the same name')
    content = np.frombuffer(path.read_bytes(), np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    if image is None:
        raise ValueError(f'{path}: {content.size} bytes that are no image; expected a PNG file')
    return image


def load(source: Source, classes: int) -> Sample:
    """Reads and checks a pair.

    Raises:
        ValueError: If a file is missing or broken, sizes differ, or labels are not those of the set.
    """
    visible, labels = read(source.visible), read(source.labels)
    channels = 4 if source.infrared is None else 3
    if visible.ndim != 3 or visible.shape[2] != channels:
        raise ValueError(f'{source.visible}: array of shape {visible.shape}; expected {channels} channels')
    infrared = visible[..., 3] if source.infrared is None else read(source.infrared)
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ValueError(
            f'{source.labels}: {labels.dtype} array of shape {labels.shape}; expected one channel of 8 bits'
        )
    for path, image in ((source.infrared, infrared), (source.labels, labels)):
        if image.shape[:2] != visible.shape[:2]:
            raise ValueError(
                f'{path}: {image.shape[1]} x {image.shape[0]} pixels (width x height); expected the size of '
                f'{source.visible}, {visible.shape[1]} x {visible.shape[0]}'
            )
    unknown = sorted(set(np.unique(labels).tolist()) - {*range(classes), IGNORED})
    if unknown:
        raise ValueError(f'{source.labels}: labels {unknown}; expected 0 to {classes - 1}, or {IGNORED} for nothing')
    return Sample(visible[..., :3], infrared, labels)


def check(sources: list[Source], classes: int) -> tuple[np.ndarray, int]:
    """Checks all pairs of a split.

    Returns:
        Pixels of each class, and the number of label maps that hold nothing but 0 and 255.

    Raises:
        ValueError: With all problems, or if there is no pair.
    """
    problems, pixels, empty = [], np.zeros(IGNORED + 1, np.int64), 0
    for source in sources:
        try:
            counts = np.bincount(load(source, classes).labels.ravel(), minlength=IGNORED + 1)
        except ValueError as error:
            problems.append(str(error))
            continue
        pixels += counts
        empty += not counts[1:IGNORED].any()
    if problems:
        more = f'\n  and {len(problems) - SHOWN_PROBLEMS} more' if len(problems) > SHOWN_PROBLEMS else ''
        shown = ''.join(f'\n  {problem}' for problem in problems[:SHOWN_PROBLEMS])
        raise ValueError(f'{len(problems)} of {len(sources)} pairs cannot be used:{shown}{more}')
    return pixels[:classes], empty


def write(source: Source, folder: Path, classes: int) -> None:
    """Writes one pair: copies of its files, or the parts of a file of four channels."""
    if source.infrared is None:
        sample = load(source, classes)
        write_image(folder / 'vi' / source.name, sample.visible)
        write_image(folder / 'ir' / source.name, sample.infrared)
    else:
        copy(source.visible, folder / 'vi' / source.name)
        copy(source.infrared, folder / 'ir' / source.name)
    copy(source.labels, folder / 'labels' / source.name)


def copy(source: Path, target: Path) -> None:
    """Copies a file, complete or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f'.{target.name}.tmp')
    shutil.copyfile(source, temporary)
    temporary.replace(target)


def convert(dataset: str, root: Path, out_dir: Path) -> str:
    """Checks, then writes.

    Returns:
        A table of what was found.

    Raises:
        ValueError: If something is missing or broken; nothing was written then.
    """
    published = DATASETS[dataset]
    if not root.is_dir():
        raise ValueError(f'{root}: no such folder; expected {dataset} as its authors publish it')
    found = {split: list(published.find(root, split)) for split in published.splits}
    counted = {}
    for split, sources in found.items():
        if not sources:
            raise ValueError(f'{root}: no pairs of the split {split}; expected {published.splits[split]}')
        counted[split] = check(sources, published.classes)
    lines = ['| split | pairs | published | without objects | pixels of each class, % |', '|---|---|---|---|---|']
    for split, sources in found.items():
        for source in sources:
            write(source, out_dir / split, published.classes)
        pixels, empty = counted[split]
        shares = ' '.join(f'{share:.2f}' for share in 100 * pixels / max(pixels.sum(), 1))
        lines.append(f'| {split} | {len(sources)} | {published.splits[split]} | {empty} | {shares} |')
    return '\n'.join(lines)


def main() -> None:
    """Converts."""
    parser = argparse.ArgumentParser(description='Convert a published set of labelled pairs for mmseg')
    parser.add_argument('dataset', choices=list(DATASETS), help='which set')
    parser.add_argument('root', type=Path, help='its folder, as published')
    parser.add_argument('-o', '--out-dir', type=Path, required=True, help='where to write, for example data/mfnet')
    args = parser.parse_args()
    try:
        print(convert(args.dataset, args.root, args.out_dir))
    except (ValueError, OSError) as error:
        sys.exit(f'Error: {error}')


if __name__ == '__main__':
    main()
