# Copyright (c) mmdefusion authors. All rights reserved.
import numpy as np
import pytest

from mmdefusion.datasets import PairedImageDataset
from mmdefusion.registry import DATASETS
from mmdefusion.utils.image_io import ImageReadError, write_image


@pytest.fixture
def root(tmp_path):
    for value, name in enumerate(('vi/b.png', 'vi/a.bmp', 'vi/c.png', 'ir/a.png', 'ir/b.png', 'ir/c.tif'), 1):
        write_image(tmp_path / name, np.full((4, 6, 3), value, np.uint8))
    (tmp_path / 'vi' / 'readme.txt').write_text('')
    return tmp_path


def test_pairs_are_matched_by_stem_in_order(root):
    dataset = PairedImageDataset(data_root=str(root))
    assert len(dataset) == 3
    assert [dataset.get_data_info(index) for index in range(3)] == [
        dict(img_path=f'{root}/vi/a.bmp', partner_path=f'{root}/ir/a.png', sample_idx=0),
        dict(img_path=f'{root}/vi/b.png', partner_path=f'{root}/ir/b.png', sample_idx=1),
        dict(img_path=f'{root}/vi/c.png', partner_path=f'{root}/ir/c.tif', sample_idx=2),
    ]


def test_pipeline_gives_the_pixels_of_both(root):
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadPairedImage'), dict(type='PackFusionInputs')]
    config = dict(type='mmdefusion.PairedImageDataset', data_root=str(root), test_mode=True)
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope('mmdefusion'):
        sample = DATASETS.build(dict(config, pipeline=pipeline))[0]
    assert sample['inputs'].shape == (6, 4, 6)
    assert (sample['inputs'][:3] == 2).all() and (sample['inputs'][3:] == 4).all()
    assert sample['data_samples'].partner_path == f'{root}/ir/a.png'


def test_name_list_chooses_and_orders(root):
    (root / 'test.txt').write_text('c\n\na.jpg\n')
    dataset = PairedImageDataset(data_root=str(root), ann_file='test.txt')
    assert [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))] == [
        f'{root}/vi/c.png',
        f'{root}/vi/a.bmp',
    ]


def test_name_list_keeps_dots_that_belong_to_the_stem(root):
    for side in ('vi', 'ir'):
        write_image(root / side / 'x.1.png', np.zeros((4, 6, 3), np.uint8))
    (root / 'test.txt').write_text('x.1\n')
    assert len(PairedImageDataset(data_root=str(root), ann_file='test.txt')) == 1


def test_other_folders(root):
    dataset = PairedImageDataset(data_root=str(root), data_prefix=dict(img_path='ir', partner_path='vi'))
    assert dataset.get_data_info(1)['img_path'] == f'{root}/ir/b.png'


def test_all_unpaired_files_are_in_one_error(root):
    write_image(root / 'vi' / 'd.png', np.zeros((4, 6, 3), np.uint8))
    write_image(root / 'ir' / 'e.png', np.zeros((4, 6, 3), np.uint8))
    write_image(root / 'ir' / 'a.tif', np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(ValueError) as caught:
        PairedImageDataset(data_root=str(root))
    message = str(caught.value)
    assert message.startswith('3 of the images have no partner')
    for part in (f'{root}/ir/d.*: no such image', f'{root}/vi/e.*: no such image', 'ir/a.*: 2 images (a.png, a.tif)'):
        assert part in message


def test_long_lists_are_cut(root):
    (root / 'test.txt').write_text('\n'.join(f'x{index:02d}' for index in range(25)))
    with pytest.raises(ValueError, match='25 of the images') as caught:
        PairedImageDataset(data_root=str(root), ann_file='test.txt')
    assert 'x19' in str(caught.value) and 'x20' not in str(caught.value) and '5 more' in str(caught.value)


def test_missing_folder_and_empty_folders(tmp_path):
    with pytest.raises(ImageReadError, match='vi: not a folder'):
        PairedImageDataset(data_root=str(tmp_path))
    (tmp_path / 'vi').mkdir()
    (tmp_path / 'ir').mkdir()
    with pytest.raises(ValueError, match='no pair found'):
        PairedImageDataset(data_root=str(tmp_path))


def test_wrong_prefix_keys(root):
    with pytest.raises(ValueError, match=r"found \['img'\]"):
        PairedImageDataset(data_root=str(root), data_prefix=dict(img='vi'))
