# Copyright (c) mmdefusion authors. All rights reserved.
from pathlib import Path

import numpy as np
import pytest

from mmdefusion.apis.pairs import Pair, load_pair, resolve_pairs
from mmdefusion.utils.image_io import ImageReadError, write_image

GRAY = np.full((3, 4), 9, np.uint8)


@pytest.fixture
def root(tmp_path):
    for name in ('vi/1.png', 'vi/2.png', 'ir/2.png', 'ir/1.bmp'):
        write_image(tmp_path / name, GRAY)
    return tmp_path


def test_two_folders(root):
    pairs, problems = resolve_pairs((root / 'vi', str(root / 'ir')))
    assert pairs == [
        Pair('1', f'{root}/vi/1.png', f'{root}/ir/1.bmp'),
        Pair('2', f'{root}/vi/2.png', f'{root}/ir/2.png'),
    ]
    assert problems == {}


def test_folder_with_a_file_that_has_no_partner(root):
    write_image(root / 'vi' / '3.png', GRAY)
    pairs, problems = resolve_pairs((root / 'vi', root / 'ir'))
    assert [pair.name for pair in pairs] == ['1', '2'] and list(problems) == ['3']


def test_one_folder_with_files_of_both_sides(root):
    for name in ('1_RGB.jpg', '1_IR.png', '2_RGB.jpg', '2_IR.png', '3_RGB.jpg', 'other.png'):
        write_image(root / 'all' / name, GRAY)
    pairs, problems = resolve_pairs((root / 'all', root / 'all'), ('_RGB', '_IR'))
    # Named after the first source, as everywhere.
    assert pairs == [
        Pair('1_RGB', f'{root}/all/1_RGB.jpg', f'{root}/all/1_IR.png'),
        Pair('2_RGB', f'{root}/all/2_RGB.jpg', f'{root}/all/2_IR.png'),
    ]
    assert list(problems) == ['3'] and 'no such image' in problems['3']
    with pytest.raises(ImageReadError, match=r'all/\*_VIS.* and .*all/\*_NIR.*: no images found'):
        resolve_pairs((root / 'all', root / 'all'), ('_VIS', '_NIR'))
    with pytest.raises(ImageReadError, match='match the images of two folders'):
        resolve_pairs(('a_RGB.png', 'a_IR.png'), ('_RGB', '_IR'))


def test_one_pair_and_a_list():
    assert resolve_pairs(('a/x.png', Path('b/y.tif')))[0] == [Pair('x', 'a/x.png', Path('b/y.tif'))]
    pairs, _ = resolve_pairs([('a/x.png', 'b/x.png'), (GRAY, GRAY)])
    assert [pair.name for pair in pairs] == ['x', '00001']
    assert pairs[1].source2 is GRAY
    assert resolve_pairs((GRAY, GRAY))[0][0].name == '00000'


@pytest.mark.parametrize(
    'inputs, found',
    [
        ('vi', 'found str'),
        (GRAY, 'found ndarray'),
        (['a.png', 'b.png'], 'pair 0: .* found str'),
        (('a.png',), r"pair 0: .* found 1 of \['str'\]"),
        ([('a.png', 'b.png'), ('a.png', 3)], r"pair 1: .* found 2 of \['int', 'str'\]"),
    ],
)
def test_other_forms_are_refused(inputs, found):
    with pytest.raises(TypeError, match=found):
        resolve_pairs(inputs)


def test_folder_beside_file_and_empty_folders(root):
    with pytest.raises(ImageReadError, match='a folder and no folder'):
        resolve_pairs((str(root / 'vi'), str(root / 'ir' / '2.png')))
    (root / 'empty').mkdir()
    with pytest.raises(ImageReadError, match='no images found'):
        resolve_pairs((str(root / 'empty'), str(root / 'empty')))


def test_depth_is_the_larger_one(root):
    deep = np.full((3, 4, 3), 514, np.uint16)
    loaded = load_pair(Pair('1', str(root / 'vi' / '1.png'), deep))
    assert loaded.depth == 16
    assert (loaded.bgr1 == 9).all() and (loaded.bgr2 == 2).all()
    assert load_pair(Pair('1', GRAY, GRAY)).depth == 8


def test_different_sizes_name_both(root):
    with pytest.raises(ImageReadError, match=r'^x \(source 2\): 4 x 2 pixels .* partner .*vi/1.png, 4 x 3$'):
        load_pair(Pair('x', str(root / 'vi' / '1.png'), GRAY[:2]))
