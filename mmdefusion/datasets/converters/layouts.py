# Copyright (c) mmdefusion authors. All rights reserved.
"""Where the published paired datasets keep their images and boxes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

#: The kinds of files that a split has of each name.
SIDES = ('visible', 'infrared', 'labels')


@dataclass(frozen=True)
class SplitLayout:
    """One split of a dataset. Paths are relative to its folder; ``{name}`` stands for what a pair's files share.

    Attributes:
        visible: Path of the visible image of a name.
        infrared: Path of the infrared image.
        labels: Path of the label file.
        label_format: See :func:`~.object_boxes.read_boxes`.
        classes: The category of each published label; None leaves its boxes out.
        names: Which names belong to the split: path of a file with one a line, ``'labels'`` for those that have a label
            file, None for all that have an image.
        part: ``'val'``: every fifth of the sorted names; ``'train'``: the others. For datasets without a published
            split; a list of names overrules it.
        held_out: Path of the label file of a name of another split whose names are numbers. Names with the same number
            are left out of this split, so that nothing is tested on that was trained on.
        min_area: For masks: smallest number of pixels of an object.
        max_gap: For masks: most pixels between regions, one above the other, of one object.
        published: How many pairs its authors count, labelled or not; with ``part``, how many of theirs that makes.
    """

    visible: str
    infrared: str
    labels: str
    label_format: str
    classes: Mapping[str, str | None]
    names: str | None = None
    part: str | None = None
    held_out: str | None = None
    min_area: int = 1
    max_gap: int = 0
    published: int | None = None

    def path(self, root: Path, side: str, name: str) -> Path:
        """Path of one file of a name."""
        return root / getattr(self, side).format(name=name)

    def list_names(self, root: Path) -> tuple[list[str], int]:
        """The sorted names of the split, and how many were left out because another split holds them.

        Raises:
            ValueError: A folder or the list of names does not exist, or there is no name.
        """
        if self.names == 'labels':
            names = self._names_in(root, 'labels')
        elif self.names is None:
            names = self._names_in(root, 'visible') | self._names_in(root, 'infrared')
        else:
            names = self._names_listed(root / self.names)
        names = sorted(names)
        if self.part is not None and self.names is None:
            names = [name for index, name in enumerate(names) if (index % 5 == 0) == (self.part == 'val')]
        found = len(names)
        if self.held_out is not None:
            held_out = {_number(name) for name in self._names_in(root, 'held_out')} - {None}
            names = [name for name in names if _number(name) not in held_out]
        if not names:
            raise ValueError(f'{root}: no name found; expected files {[getattr(self, side) for side in SIDES]}')
        return names, found - len(names)

    def _pattern(self, side: str) -> re.Pattern:
        before, after = Path(getattr(self, side)).name.split('{name}')
        return re.compile(f'{re.escape(before)}(.+){re.escape(after)}')

    def _names_in(self, root: Path, side: str) -> set[str]:
        folder = (root / getattr(self, side)).parent
        if not folder.is_dir():
            files = side.replace('_', '-')
            raise ValueError(f'{folder}: not a folder; expected the {files} files of the dataset in it')
        return self._matching([side], (path.name for path in folder.iterdir() if not path.name.startswith('.')))

    def _names_listed(self, path: Path) -> set[str]:
        if not path.is_file():
            raise ValueError(f'{path}: no such file; expected the list of names of the split')
        entries = [line.strip() for line in path.read_text().splitlines() if line.strip()]
        return {self._name_of(entry) for entry in entries}

    def _name_of(self, entry: str) -> str:
        """The name that an entry of a list stands for: a list may hold files of either side, with or without suffix."""
        suffixes = sorted({Path(getattr(self, side)).suffix for side in SIDES})
        for files in ([entry], [entry + suffix for suffix in suffixes]):
            names = self._matching(SIDES, files)
            if names:
                return min(names, key=lambda name: (len(name), name))
        return entry

    def _matching(self, sides: Iterable[str], files: Iterable[str]) -> set[str]:
        matches = (self._pattern(side).fullmatch(file) for file in files for side in sides)
        return {match[1] for match in matches if match}


def _number(name: str) -> int | None:
    """The number that a name begins with: 131 of 00131D."""
    match = re.match(r'\d+', name)
    return None if match is None else int(match[0])


@dataclass(frozen=True)
class DetectionLayout:
    """A dataset for detection.

    Attributes:
        categories: Names of the categories, in their order.
        splits: The splits by name.
    """

    categories: tuple[str, ...]
    splits: Mapping[str, SplitLayout]


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _llvip(split: str, published: int) -> SplitLayout:
    images = [f'{side}/{split}/{{name}}.jpg' for side in ('visible', 'infrared')]
    return SplitLayout(*images, 'Annotations/{name}.xml', 'voc', _same('person'), published=published)


_M3FD = ('People', 'Car', 'Bus', 'Motorcycle', 'Lamp', 'Truck')


def _m3fd(part: str, published: int) -> SplitLayout:
    files = ('Vis/{name}.png', 'Ir/{name}.png', 'Annotation/{name}.xml')
    return SplitLayout(*files, 'voc', _same(*_M3FD), part=part, published=published)


_FLIR = ('person', 'bicycle', 'car')


def _flir(names: str, published: int) -> SplitLayout:
    return SplitLayout(
        'JPEGImages/{name}_RGB.jpg',
        'JPEGImages/{name}_PreviewData.jpeg',
        'Annotations/{name}_PreviewData.xml',
        'voc',
        {**_same(*_FLIR), 'dog': None},
        names=names,
        published=published,
    )


#: LLVIP: persons at night, 1280x1024. M3FD: 4200 pairs of 1024x768, without a published split. FLIR-aligned: 640x512;
#: the few dogs are left out, as usual. MSRS: 640x480; boxes of train are made from its masks, those of test are
#: published in a folder of its own, under the class numbers of COCO, for 80 images of which a few are in train.
DETECTION_LAYOUTS = {
    'llvip': DetectionLayout(('person',), {'train': _llvip('train', 12025), 'test': _llvip('test', 3463)}),
    'm3fd': DetectionLayout(_M3FD, {'train': _m3fd('train', 3360), 'val': _m3fd('val', 840)}),
    'flir-aligned': DetectionLayout(
        _FLIR, {'train': _flir('align_train.txt', 4129), 'val': _flir('align_validation.txt', 1013)}
    ),
    'msrs': DetectionLayout(
        ('person', 'car'),
        {
            'train': SplitLayout(
                'train/vi/{name}.png',
                'train/ir/{name}.png',
                'train/Segmentation_labels/{name}.png',
                'mask',
                {'1': 'car', '2': 'person', **dict.fromkeys('345678')},
                held_out='detection/labels/{name}.txt',
                min_area=200,
                published=1083,
            ),
            'test': SplitLayout(
                'detection/vi/{name}.png',
                'detection/ir/{name}.png',
                'detection/labels/{name}.txt',
                'yolo',
                {'0': 'person', '2': 'car'},
                names='labels',
                published=80,
            ),
        },
    ),
}

#: 120 pairs of the MSRS test split for comparisons with few labels: training boxes are made from masks that a network
#: predicted, with many a person in pieces; test boxes are the published ones.
MSRS_PSEUDO_LAYOUT = DetectionLayout(
    DETECTION_LAYOUTS['msrs'].categories,
    {
        split: replace(
            DETECTION_LAYOUTS['msrs'].splits[split],
            visible='vi/{name}.png',
            infrared='ir/{name}.png',
            labels=labels,
            names=names,
            held_out=None,
            max_gap=30,
            published=None,
        )
        for split, labels, names in (
            ('train', 'pseudo_labels/{name}.png', 'train.txt'),
            ('test', 'boxes/{name}.txt', 'labels'),
        )
    },
)
