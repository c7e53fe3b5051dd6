# Copyright (c) mmdefusion authors. All rights reserved.
"""Pairs of registered images in two folders."""

from __future__ import annotations

from pathlib import Path

from mmengine import fileio

from mmdefusion.registry import DATASETS
from mmdefusion.utils.image_io import list_images, match_folders

from .base_dataset import SeededDataset

SHOWN_PROBLEMS = 20


@DATASETS.register_module()
class PairedImageDataset(SeededDataset):
    """Pairs of registered images, matched by stem over two folders.

    .. code-block:: none

        data_root
        ├── vi/00001.jpg    data_prefix['img_path']
        ├── ir/00001.png    data_prefix['partner_path']
        └── test.txt        ann_file (optional): one name a line, with or without suffix

    Each sample starts as ``dict(img_path=..., partner_path=...)``.

    Args:
        ann_file: List of the names to use, relative to ``data_root``; default every name of either folder.
        data_prefix: Folders of the first and of the second sources, relative to ``data_root``.
        **kwargs: Arguments of :class:`SeededDataset`.

    Raises:
        ImageReadError: If a folder does not exist.
        ValueError: If a name has not exactly one image in each folder, or if there is no pair at all. All such names
            are reported at once.
    """

    METAINFO = dict(dataset_type='paired_image', task_name='image_fusion')

    def __init__(self, ann_file: str = '', data_prefix: dict | None = None, **kwargs) -> None:
        data_prefix = dict(img_path='vi', partner_path='ir') if data_prefix is None else data_prefix
        if set(data_prefix) != {'img_path', 'partner_path'}:
            raise ValueError(f'data_prefix needs the keys img_path and partner_path, found {sorted(data_prefix)}')
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Match the files of both folders.

        Returns:
            One dict of two paths for each pair, in the order of ``ann_file`` or of the names.
        """
        folder1, folder2 = self.data_prefix['img_path'], self.data_prefix['partner_path']
        pairs, problems = match_folders(folder1, folder2, self._read_stems(folder1, folder2))
        if problems:
            lines = [*list(problems.values())[:SHOWN_PROBLEMS]]
            if len(problems) > SHOWN_PROBLEMS:
                lines.append(f'... and {len(problems) - SHOWN_PROBLEMS} more')
            raise ValueError(f'{len(problems)} of the images have no partner:\n  ' + '\n  '.join(lines))
        if not pairs:
            source = self.ann_file or f'{folder1} and {folder2}'
            raise ValueError(f'{source}: no pair found; expected images of the same stem in {folder1} and {folder2}')
        return [dict(img_path=pair.path1, partner_path=pair.path2) for pair in pairs]

    def _read_stems(self, folder1: str, folder2: str) -> list[str] | None:
        if not self.ann_file:
            return None
        names = [line.strip() for line in fileio.get_text(self.ann_file).splitlines() if line.strip()]
        # A name may contain dots of its own: only what is no stem as it stands loses a suffix.
        stems = list_images(folder1).keys() | list_images(folder2).keys()
        return [name if name in stems else Path(name).stem for name in names]
