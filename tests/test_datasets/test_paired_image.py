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
        dict(name='a', img_path=f'{root}/vi/a.bmp', partner_path=f'{root}/ir/a.png', sample_idx=0),
        dict(name='b', img_path=f'{root}/vi/b.png', partner_path=f'{root}/ir/b.png', sample_idx=1),
        dict(name='c', img_path=f'{root}/vi/c.png', partner_path=f'{root}/ir/c.tif', sample_idx=2),
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


def write(folder, *names):
    for value, name in enumerate(names):
        write_image(folder / name, np.full((4, 6, 3), value, np.uint8))


def infos(dataset, key='img_path'):
    return [dataset.get_data_info(index)[key] for index in range(len(dataset))]


def test_patterns_tell_the_sources_apart_in_one_folder(tmp_path):
    write(tmp_path, '2-far.png', '2-near.jpg', '10-far.png', '10-near.png', 'cover.png', 'more/3-far.png')
    options = dict(data_root=str(tmp_path), data_prefix=dict(img_path='', partner_path=''))
    dataset = PairedImageDataset(**options, patterns=dict(img_path=r'(\d+)-near', partner_path=r'(\d+)-far'))
    assert infos(dataset, 'name') == ['10', '2']
    assert infos(dataset) == [str(tmp_path / '10-near.png'), str(tmp_path / '2-near.jpg')]
    assert infos(dataset, 'partner_path') == [str(tmp_path / '10-far.png'), str(tmp_path / '2-far.png')]
    (tmp_path / '10-far.png').unlink()
    with pytest.raises(ValueError) as caught:
        PairedImageDataset(**options, patterns=dict(img_path=r'(\d+)-near', partner_path=r'(\d+)-far'))
    assert f'  10: in {tmp_path}/ as (\\d+)-far: no such image; expected the partner' in str(caught.value)


def test_patterns_with_folders_and_alternatives(tmp_path):
    write(tmp_path, 'scene/street/s_A.png', 'scene/street/s_B.png', 'under/door.png', 'over/door.png')
    write(tmp_path, 'scene/street/.hidden_A.png', '.trash/street/s_A.png', 'scene/deeper/street/s_A.png')
    dataset = PairedImageDataset(
        data_root=str(tmp_path),
        data_prefix=dict(img_path='', partner_path=''),
        patterns=dict(img_path=r'scene/([^/]+)/[^/]+_A|under/(.+)', partner_path=r'scene/([^/]+)/[^/]+_B|over/(.+)'),
    )
    assert infos(dataset, 'name') == ['door', 'street']
    assert infos(dataset, 'partner_path') == [str(tmp_path / 'over/door.png'), str(tmp_path / 'scene/street/s_B.png')]


def test_folders_behind_links_are_looked_into(tmp_path):
    write(tmp_path, 'disk/vi/1.png', 'disk/ir/1.png')
    (tmp_path / 'data').mkdir()
    for side in ('vi', 'ir'):
        (tmp_path / 'data' / side).symlink_to(tmp_path / 'disk' / side)
    dataset = PairedImageDataset(
        data_root=str(tmp_path / 'data'),
        data_prefix=dict(img_path='', partner_path=''),
        patterns=dict(img_path='vi/(.+)', partner_path='ir/(.+)'),
    )
    assert infos(dataset) == [str(tmp_path / 'data/vi/1.png')]


def test_name_list_with_patterns(tmp_path):
    write(tmp_path, 'vi/1_vi.png', 'ir/1_ir.png', 'vi/2_vi.png', 'ir/2_ir.png')
    (tmp_path / 'list.txt').write_text('2\n')
    patterns = dict(img_path='(.+)_vi', partner_path='(.+)_ir')
    dataset = PairedImageDataset(data_root=str(tmp_path), ann_file='list.txt', patterns=patterns)
    assert infos(dataset) == [str(tmp_path / 'vi/2_vi.png')]


def test_sequence_takes_its_first_and_last_in_natural_order(tmp_path):
    write(tmp_path, *(f'{n}/{k}.png' for n in (1, 2) for k in (1, 2, 9, 10)), 'label/1.png', 'label/2.png')
    options = dict(
        data_root=str(tmp_path),
        data_prefix=dict(img_path='', partner_path='', gt_path='label'),
        patterns=dict(img_path=r'(\d+)/.+', partner_path=r'(\d+)/.+'),
    )
    dataset = PairedImageDataset(**options, sequence=True)
    assert infos(dataset) == [f'{tmp_path}/1/1.png', f'{tmp_path}/2/1.png']
    assert infos(dataset, 'partner_path') == [f'{tmp_path}/1/10.png', f'{tmp_path}/2/10.png']
    assert infos(dataset, 'gt_path') == [f'{tmp_path}/label/1.png', f'{tmp_path}/label/2.png']
    with pytest.raises(ValueError, match=r'1: .*: 4 images \(1.png, 2.png, 9.png, 10.png\); expected one'):
        PairedImageDataset(**options)


def test_truth_must_be_complete(root):
    write(root, 'gt/a.png', 'gt/b.png')
    prefix = dict(img_path='vi', partner_path='ir', gt_path='gt')
    with pytest.raises(ValueError, match=r'1 of the images.*\n.*gt/c.\*: no such image'):
        PairedImageDataset(data_root=str(root), data_prefix=prefix)


def test_wrong_patterns(root):
    with pytest.raises(ValueError, match=r"patterns has the keys \['gt_path'\]"):
        PairedImageDataset(data_root=str(root), patterns=dict(gt_path='(.+)'))
    with pytest.raises(ValueError, match="'.+_A' has no group"):
        PairedImageDataset(data_root=str(root), patterns=dict(img_path='.+_A'))
