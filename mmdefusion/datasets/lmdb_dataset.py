# Copyright (c) mmdefusion authors. All rights reserved.
"""Photos or pairs in an LMDB."""

from __future__ import annotations

from mmdefusion.registry import DATASETS

from .base_dataset import SeededDataset
from .packed import INDEX_NAME, ROLES, LmdbIndex, lmdb_address
from .packed.addresses import LMDB_SUFFIX


@DATASETS.register_module()
class LmdbDataset(SeededDataset):
    """Photos or pairs in an LMDB, which reads any sample as fast as the next one: for every sampler.

    ``tools/dataset_converters/pack_shards.py --format lmdb`` makes it. Pipelines are those of folders: ``img_path``,
    ``partner_path`` and ``gt_path`` hold addresses (``lmdb://data/photos.lmdb/NAME.jpg``) that ``LoadImageFromFile``,
    ``LoadPairedImage`` and ``LoadFusionTruth`` read, through MMEngine's ``LmdbBackend``.

    Args:
        data_root: Folder of the LMDB; its name ends with ``.lmdb``.
        ann_file: The index, relative to ``data_root``.
        **kwargs: Arguments of :class:`SeededDataset`.

    Raises:
        FileNotFoundError: There is no index.
        ValueError: The index is not one, or the folder's name ends otherwise.
    """

    METAINFO = dict(dataset_type='lmdb', task_name='pretraining')

    def __init__(self, data_root: str, ann_file: str = INDEX_NAME, **kwargs) -> None:
        if not data_root.rstrip('/').endswith(LMDB_SUFFIX):
            raise ValueError(f'data_root is {data_root!r}; expected the folder of an LMDB, a name with {LMDB_SUFFIX}')
        super().__init__(data_root=data_root, ann_file=ann_file, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Reads the index.

        Returns:
            One dict of a name and addresses for each sample.
        """
        index = LmdbIndex.load(self.ann_file)
        paths = [ROLES[role] for role in index.members]
        first = index.members.index('img')
        return [
            dict(
                name=keys[first].partition('.')[0],
                **{path: lmdb_address(self.data_root.rstrip('/'), key) for path, key in zip(paths, keys, strict=True)},
            )
            for keys in index.samples
        ]
