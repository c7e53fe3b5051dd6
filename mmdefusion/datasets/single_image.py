# Copyright (c) mmdefusion authors. All rights reserved.
"""Folders of ordinary photos for self-supervised pretraining."""

from __future__ import annotations

from pathlib import Path

from mmengine import fileio

from mmdefusion.registry import DATASETS
from mmdefusion.utils.image_io import IMAGE_SUFFIXES

from .base_dataset import SeededDataset

#: One photo in so many is held out by ``subset='train'`` and used by ``subset='val'``.
HOLD_OUT_EVERY = 20


@DATASETS.register_module()
class ImageFolderDataset(SeededDataset):
    """All photos below a folder, in the order of their names.

    Args:
        subset: ``'all'``, or for folders without a split of their own ``'train'`` (without every 20th photo) or
            ``'val'`` (every 20th).
        ann_file: Optional text file with one path a line, relative to the photo folder, with or without suffix; only
            these are used.
        **kwargs: Arguments of :class:`SeededDataset`; ``data_root`` and ``data_prefix=dict(img_path=...)`` name the
            folder, ``indices`` takes the first photos only.
    """

    METAINFO = dict(dataset_type='image_folder', task_name='pretraining')

    def __init__(self, subset: str = 'all', **kwargs) -> None:
        if subset not in ('all', 'train', 'val'):
            raise ValueError(f"subset must be 'all', 'train' or 'val', got {subset!r}")
        self.subset = subset
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        """Finds the photos.

        Returns:
            One ``dict(img_path=...)`` a photo.

        Raises:
            FileNotFoundError: The folder or a listed file does not exist, or there is no photo.
        """
        folder = self.data_prefix['img_path']
        if not fileio.isdir(folder):
            raise FileNotFoundError(f'{folder}: no such folder; {self._expected()}')
        files = fileio.list_dir_or_file(folder, list_dir=False, recursive=True)
        names = sorted(name for name in files if Path(name).suffix.lower() in IMAGE_SUFFIXES)
        if self.ann_file:
            known = {Path(name).with_suffix('').as_posix(): name for name in names} | {name: name for name in names}
            listed = [line.strip() for line in fileio.list_from_file(self.ann_file) if line.strip()]
            absent = [name for name in listed if name not in known]
            if absent:
                raise FileNotFoundError(
                    f'{len(absent)} of the {len(listed)} files listed in {self.ann_file} are not in {folder}, '
                    f'the first ones: {absent[:5]}'
                )
            names = [known[name] for name in listed]
        if self.subset != 'all':
            held_out = self.subset == 'val'
            names = [name for index, name in enumerate(names) if (index % HOLD_OUT_EVERY == 0) == held_out]
        if not names:
            raise FileNotFoundError(f'{folder}: no photo of subset {self.subset!r} there; {self._expected()}')
        return [dict(img_path=fileio.join_path(folder, name)) for name in names]

    def _expected(self) -> str:
        return (
            f'expected photos ({", ".join(IMAGE_SUFFIXES)}) there or below. Put the data in place, or point elsewhere '
            'with --cfg-options train_dataloader.dataset.data_root=FOLDER '
            'train_dataloader.dataset.data_prefix.img_path= (val_dataloader alike)'
        )
