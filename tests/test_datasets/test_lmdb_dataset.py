# Copyright (c) mmdefusion authors. All rights reserved.
import json
import os

import numpy as np
import pytest
from mmengine import fileio
from torch.utils.data import DataLoader

from mmdefusion.datasets import ImageFolderDataset, LmdbDataset
from mmdefusion.datasets.converters import list_sources, pack_lmdb

pytest.importorskip('lmdb')

LOAD = [dict(type='LoadImageFromFile')]


class Look:
    def __call__(self, results):
        return int(results['img'][0, 0, 0]), np.random.random()


@pytest.fixture(scope='module')
def database(photo_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp('packed') / 'photos.lmdb'
    pack_lmdb(list_sources(str(photo_folder)), str(folder))
    return str(folder)


def test_it_gives_what_the_folder_gives(database, photo_folder):
    packed = LmdbDataset(data_root=database, pipeline=[*LOAD, Look()], kind='photo')
    folder = ImageFolderDataset(data_root=str(photo_folder), pipeline=[*LOAD, Look()])
    expected = [folder[index] for index in range(40)]
    assert [packed[index] for index in range(40)] == expected
    info = packed.get_data_info(25)
    assert info['name'] == 'b/25' and info['kind'] == 'photo' and info['img_path'] == f'lmdb://{database}/b/25.png'
    loader = DataLoader(LmdbDataset(data_root=database, pipeline=[*LOAD, Look()]), 8, num_workers=2, collate_fn=list)
    assert [entry for batch in loader for entry in batch] == expected
    content = (photo_folder / 'b/25.png').read_bytes()
    assert fileio.get(f'lmdb://{database}/b/25.png') == content


def test_pairs_have_a_key_for_each_member(photo_folder, tmp_path):
    for number in range(20):
        (tmp_path / f'{number:02}.png').write_bytes((photo_folder / f'b/{number + 20}.png').read_bytes())
    path = str(tmp_path / 'pairs.lmdb')
    pack_lmdb(list_sources(str(photo_folder / 'a'), str(tmp_path)), path)
    dataset = LmdbDataset(data_root=path, pipeline=[*LOAD, dict(type='LoadPairedImage')])
    image = dataset[7]['img']
    assert image.shape == (8, 10, 6) and (image[0, 0, 0], image[0, 0, 3]) == (7, 27)


def test_what_is_missing_is_named(database, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"photos.lmdb has no record 'a/99.png'"):
        fileio.get(f'lmdb://{database}/a/99.png')
    with pytest.raises(FileNotFoundError, match='none.lmdb cannot be read'):
        fileio.get(f'lmdb://{tmp_path}/none.lmdb/1.png')
    with pytest.raises(ValueError, match='expected the folder of an LMDB'):
        LmdbDataset(data_root=str(tmp_path))
    folder = tmp_path / 'empty.lmdb'
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match='index.json: cannot be opened.*pack_shards.py'):
        LmdbDataset(data_root=str(folder))
    index = json.loads((tmp_path / database / 'index.json').read_text())
    for change, message in (
        (dict(samples=[]), 'no samples'),
        (dict(samples=[['a', 'b']]), r"samples\[0\] is \['a', 'b'\]; expected one key for each of \['img'\]"),
        (dict(format='mmdefusion-shards'), r"expected \('mmdefusion-lmdb', 1\)"),
    ):
        (folder / 'index.json').write_text(json.dumps({**index, **change}))
        with pytest.raises(ValueError, match=message):
            LmdbDataset(data_root=str(folder))


def test_packing_needs_a_name_for_it(photo_folder, tmp_path):
    with pytest.raises(ValueError, match=r'expected a name that ends with \.lmdb'):
        pack_lmdb(list_sources(str(photo_folder)), str(tmp_path / 'photos'))
    assert os.listdir(tmp_path) == []
