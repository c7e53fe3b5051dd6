# Copyright (c) mmdefusion authors. All rights reserved.
"""Pairs of registered images."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from mmengine import fileio

from mmdefusion.registry import DATASETS
from mmdefusion.utils.image_io import STEM_PATTERN, ImageMatch, ImageSide, list_images, match_images

from .base_dataset import SeededDataset

SHOWN_PROBLEMS = 20
SOURCES = ('img_path', 'partner_path')


@DATASETS.register_module()
class PairedImageDataset(SeededDataset):
    r"""Pairs of registered images, matched by name.

    By default the name is the stem, and the two sources lie in two folders:

    .. code-block:: none

        data_root
        ├── vi/00001.jpg    data_prefix['img_path']
        ├── ir/00001.png    data_prefix['partner_path']
        ├── gt/00001.png    data_prefix['gt_path'] (optional): what fusion should give
        └── test.txt        ann_file (optional): one name a line, with or without suffix

    Where a dataset names its files in another way, ``patterns`` says how: a regular expression for the path below the
    folder, without suffix, whose group is the name. For ``data_root/near/01-A.jpg`` and ``data_root/far/01-B.jpg``:

    .. code-block:: python

        data_prefix = dict(img_path='near', partner_path='far')
        patterns = dict(img_path=r'(\d+)-A', partner_path=r'(\d+)-B')

    A pattern may contain folders and alternatives, ``r'near/(\d+)-A|under/(.+)'``; the first group that takes part is
    the name. Images that match no pattern do not belong to the dataset.

    Each sample starts as ``dict(name=..., img_path=..., partner_path=...)``, with ``gt_path`` where there is one.

    Args:
        ann_file: List of the names to use, relative to ``data_root``; default every name of any folder.
        data_prefix: Folders of the first and the second sources and, optionally, of the truth, relative to
            ``data_root``.
        patterns: Regular expressions by the keys of ``data_prefix``; a missing one means the stem.
        sequence: Several images may share a name: they are one sequence, in natural order (2 before 10), and its first
            and its last image are the pair.
        **kwargs: Arguments of :class:`SeededDataset`.

    Raises:
        ImageReadError: If a folder does not exist.
        ValueError: If a name has not exactly one image on each side, or if there is no pair at all. All such names
            are reported at once.
    """

    METAINFO = dict(dataset_type='paired_image', task_name='image_fusion')

    def __init__(
        self,
        ann_file: str = '',
        data_prefix: Mapping[str, str] | None = None,
        patterns: Mapping[str, str] | None = None,
        sequence: bool = False,
        **kwargs,
    ) -> None:
        data_prefix = dict(img_path='vi', partner_path='ir') if data_prefix is None else dict(data_prefix)
        if not set(SOURCES) <= set(data_prefix) <= {*SOURCES, 'gt_path'}:
            raise ValueError(
                f'data_prefix needs the keys img_path and partner_path, gt_path if there is a truth, '
                f'found {sorted(data_prefix)}'
            )
        self.patterns = {key: (patterns or {}).get(key, STEM_PATTERN) for key in data_prefix}
        if set(patterns or {}) - set(data_prefix):
            raise ValueError(f'patterns has the keys {sorted(patterns)}; expected some of {sorted(data_prefix)}')
        for key, pattern in self.patterns.items():
            if not re.compile(pattern).groups:
                raise ValueError(f'patterns[{key!r}] = {pattern!r} has no group; expected one around the name')
        self.sequence = sequence
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Matches the files of all folders.

        Returns:
            One dict of a name and its paths for each pair, in the order of ``ann_file`` or of the names.
        """
        picks = dict(zip(SOURCES, (0, -1), strict=True)) if self.sequence else {}
        sides = [ImageSide(folder, self.patterns[key], picks.get(key)) for key, folder in self.data_prefix.items()]
        matches, problems = match_images(sides, self._read_names(sides))
        if problems:
            lines = list(problems.values())[:SHOWN_PROBLEMS]
            if len(problems) > SHOWN_PROBLEMS:
                lines.append(f'... and {len(problems) - SHOWN_PROBLEMS} more')
            raise ValueError(f'{len(problems)} of the images have no partner:\n  ' + '\n  '.join(lines))
        if not matches:
            places = ' and '.join(f'{side.folder} (as {side.pattern})' for side in sides)
            source = self.ann_file or 'the dataset'
            raise ValueError(f'{source}: no pair found; expected images of the same name in {places}')
        return [self._make_sample(match) for match in matches]

    def _make_sample(self, match: ImageMatch) -> dict:
        return dict(name=match.name, **dict(zip(self.data_prefix, match.paths, strict=True)))

    def _read_names(self, sides: list[ImageSide]) -> list[str] | None:
        if not self.ann_file:
            return None
        names = [line.strip() for line in fileio.get_text(self.ann_file).splitlines() if line.strip()]
        # A name may contain dots of its own: only what is no name as it stands loses a suffix.
        known = set().union(*(list_images(side.folder, side.pattern) for side in sides))
        return [name if name in known else Path(name).stem for name in names]
