# Copyright (c) mmdefusion authors. All rights reserved.
import errno
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdefusion.datasets.converters import list_sources, pack_shards, shuffled
from mmdefusion.datasets.packed import ShardIndex, member_role
from mmdefusion.utils.output_files import OutputError

pytest.importorskip('webdataset')


def write(path, size=(6, 4), value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), value, np.uint8))


@pytest.mark.parametrize(
    ('suffixes', 'role'),
    [
        *(('jpg', 'img'), ('JPEG', 'img'), ('img.png', 'img'), ('partner.tif', 'partner'), ('gt.png', 'gt')),
        *(('json', None), ('depth.png', None), ('img.json', None), ('cls', None)),
    ],
)
def test_what_a_member_is(suffixes, role):
    assert member_role(suffixes) == role


def test_shards_hold_the_files_as_they_are(photo_folder, tmp_path):
    sources = list_sources(str(photo_folder))
    index = pack_shards(sources, str(tmp_path / 'out'), samples_per_shard=15, prefix='photos', workers=3)
    assert [(shard.name, shard.samples) for shard in index.shards] == [
        *(('photos-000000.tar', 15), ('photos-000001.tar', 15), ('photos-000002.tar', 10)),
    ]
    assert index.members == ('img',)
    written = json.loads((tmp_path / 'out/index.json').read_text())
    assert (written['format'], written['version'], written['samples']) == ('mmdefusion-shards', 1, 40)
    assert ShardIndex.load(str(tmp_path / 'out/index.json')) == index
    names = []
    for shard in index.shards:
        path = tmp_path / 'out' / shard.name
        assert path.stat().st_size == shard.bytes
        with tarfile.open(path) as tar:
            for member in tar:
                assert tar.extractfile(member).read() == (photo_folder / member.name).read_bytes()
                names.append(member.name)
    assert names == [f'{"a" if number < 20 else "b"}/{number:02}.png' for number in range(40)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ['out']
    # The same photos make the same bytes.
    pack_shards(sources, str(tmp_path / 'again'), samples_per_shard=15, prefix='photos')
    assert (tmp_path / 'again/photos-000001.tar').read_bytes() == (tmp_path / 'out/photos-000001.tar').read_bytes()


def test_order_and_parts(photo_folder):
    sources = list_sources(str(photo_folder))
    mixed = shuffled(sources, 3)
    assert mixed != sources and sorted(source.name for source in mixed) == [source.name for source in sources]
    assert mixed == shuffled(sources, 3) != shuffled(sources, 4)
    assert [source.name for source in list_sources(str(photo_folder), subset='val')] == ['a/00', 'b/20']


def test_nothing_is_overwritten(photo_folder, tmp_path):
    sources = list_sources(str(photo_folder))
    (tmp_path / 'out').mkdir()
    pack_shards(sources, str(tmp_path / 'out'))  # an empty folder is no loss
    before = (tmp_path / 'out/shard-000000.tar').read_bytes()
    with pytest.raises(FileExistsError, match='out: exists already, and is not overwritten'):
        pack_shards(sources[:3], str(tmp_path / 'out'))
    assert (tmp_path / 'out/shard-000000.tar').read_bytes() == before


def test_all_problems_are_named_and_nothing_is_left(tmp_path):
    for name in ('1', '2', '3', '4'):
        write(tmp_path / f'vi/{name}.png')
        write(tmp_path / f'ir/{name}.png', size=(6, 4) if name != '3' else (5, 4))
    path = tmp_path / 'ir/2.png'
    path.write_bytes(path.read_bytes()[:50])
    sources = list_sources(str(tmp_path / 'vi'), str(tmp_path / 'ir'))
    with pytest.raises(ValueError, match='2 of the 4 samples cannot be packed') as caught:
        pack_shards(sources, str(tmp_path / 'out'), samples_per_shard=1)
    lines = str(caught.value).splitlines()
    assert f'{path}: ' in lines[1] and 'truncated' in lines[1]
    assert lines[2].endswith(
        f'3.png: 5 x 4 pixels (width x height); expected the size of its partner {tmp_path}/vi/3.png, 6 x 4'
    )
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ['ir', 'vi']
    (tmp_path / 'ir/4.png').unlink()
    with pytest.raises(ValueError, match=r'ir/4\.\*: no such image; expected the partner'):
        list_sources(str(tmp_path / 'vi'), str(tmp_path / 'ir'))


def test_the_last_samples_are_checked_too(tmp_path):
    for name in ('1', '2'):
        write(tmp_path / f'{name}.png')
    (tmp_path / '2.png').write_bytes(b'')
    with pytest.raises(ValueError, match='1 of the 2 samples cannot be packed:\n  .*2.png: the file is empty'):
        pack_shards(list_sources(str(tmp_path)), str(tmp_path / 'out'), samples_per_shard=1)


def test_names_must_stay_different(tmp_path):
    write(tmp_path / 'a.b.png')
    write(tmp_path / 'c.png')
    assert [source.name for source in list_sources(str(tmp_path))] == ['a_b', 'c']
    write(tmp_path / 'a_b.jpg')
    with pytest.raises(ValueError, match='would both be a_b in the shards'):
        list_sources(str(tmp_path))
    (tmp_path / 'a_b.jpg').rename(tmp_path / 'ä.jpg')
    with pytest.raises(ValueError, match='ASCII'):
        list_sources(str(tmp_path))


def test_what_readers_would_not_find_is_not_packed(photo_folder, tmp_path):
    write(tmp_path / 'photos/__extra__/1.png')
    with pytest.raises(ValueError, match='__extra__/1.png: readers of tar shards pass over folders called __NAME__'):
        pack_shards(list_sources(str(tmp_path / 'photos')), str(tmp_path / 'out'))
    with pytest.raises(ValueError, match="prefix of shards is 'my shard'; expected letters, digits"):
        pack_shards(list_sources(str(photo_folder)), str(tmp_path / 'out'), prefix='my shard')
    assert not (tmp_path / 'out').exists()


def test_a_full_disk_leaves_nothing(photo_folder, tmp_path, monkeypatch):
    def full(self, *_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(Path, 'write_text', full)
    with pytest.raises(OutputError, match='out: cannot be written .No space left on device'):
        pack_shards(list_sources(str(photo_folder)), str(tmp_path / 'out'))
    assert list(tmp_path.iterdir()) == []
