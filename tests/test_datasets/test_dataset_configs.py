# Copyright (c) mmdefusion authors. All rights reserved.
"""The shipped dataset configs on small made-up copies of the published folder trees, whole and broken."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmdefusion.datasets.base_dataset import SeededDataset
from mmdefusion.evaluation.functional import FUSION_METRICS, REFERENCE_METRICS
from mmdefusion.registry import DATASETS

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs/_base_/datasets'
SHARED = ROOT.parent / 'shared/data'

# Config -> name -> files of the first source, the second one and, if there is one, the truth.
LAYOUTS = {
    'roadscene': {
        'FLIR_00006': ('vi/FLIR_00006.jpg', 'ir/FLIR_00006.png'),
        'FLIR_video_1': ('vi/FLIR_video_1.jpg', 'ir/FLIR_video_1.jpg'),
    },
    'roadscene (released)': {
        'FLIR_00006': ('crop_LR_visible/FLIR_00006.jpg', 'cropinfrared/FLIR_00006.jpg'),
    },
    'msrs': {'00004N': ('vi/00004N.png', 'ir/00004N.png'), '00009D': ('vi/00009D.png', 'ir/00009D.png')},
    'tno': {'01': ('vi/01.png', 'ir/01.png')},
    'tno (other names)': {'soldier': ('visible/soldier.bmp', 'infrared/soldier.bmp')},
    'm3fd': {'00000': ('Vis/00000.png', 'Ir/00000.png'), '00006': ('Vis/00006.png', 'Ir/00006.png')},
    'llvip': {'190001': ('visible/test/190001.jpg', 'infrared/test/190001.jpg')},
    'fmb': {'00001': ('Visible/00001.png', 'Infrared/00001.png')},
    'mefb': {
        'Arno': ('input/Arno/Arno_A.png', 'input/Arno/Arno_B.png'),
        # The two names differ in case in the release; the folder's counts.
        'Farmhouse': ('input/Farmhouse/Farmhouse_A.png', 'input/Farmhouse/FarmHouse_B.png'),
    },
    'mefb (two folders)': {'507': ('under/507.png', 'over/507.png')},
    'sice': {
        # Natural order: 10 is the last of ten, not the second.
        '1': ('1/1.JPG', '1/10.JPG', 'Label/1.JPG'),
        '2': ('2/1.JPG', '2/3.JPG', 'Label/2.PNG'),
    },
    'lytro': {f'lytro-0{n}': (f'lytro-0{n}-A.jpg', f'lytro-0{n}-B.jpg') for n in (1, 2)},
    'lytro (two folders)': {'lytro_01': ('a/lytro_01.png', 'b/lytro_01.png')},
    'mffw': {'1': ('1_A.jpg', '1_B.jpg'), '12': ('12_A.jpg', '12_B.png')},
    'mfi-whu': {str(n): (f'source_1/{n}.jpg', f'source_2/{n}.jpg', f'full_clear/{n}.jpg') for n in (1, 10)},
    'real-mff': {n: (f'imageA/{n}_A.png', f'imageB/{n}_B.png', f'Fusion/{n}_F.png') for n in ('001', '710')},
    'mri-ct': {'2004': ('MRI/2004.png', 'CT/2004.png')},
    'mri-pet': {'25015': ('MRI/25015.png', 'PET/25015.png')},
    'mri-spect': {'3005': ('MRI/3005.png', 'SPECT/3005.png')},
    'mri-spect (lower case)': {'7': ('mri/7.png', 'spect/7.png')},
}
# What the releases hold besides the pairs.
OTHERS = {
    'mefb': ('input/Arno/arno3.png', 'input/Arno/arno2.png'),
    'sice': ('1/2.JPG', '1/9.JPG', '2/2.JPG'),
    'lytro': ('lytro-series-01-A.jpg', 'lytro-series-01-B.jpg', 'lytro-series-01-C.jpg'),
    'msrs': ('Segmentation_labels/00004N.png',),
    'fmb': ('Label/00001.png',),
    'roadscene (released)': ('crop_HR_visible/FLIR_00006.jpg',),
}


def load_config(layout):
    return Config.fromfile(CONFIGS / f'fusion_{layout.split(" ")[0]}.py')


def make_copy(folder, layout):
    """Writes the files of a layout; each source is flat in a value of its own. Returns a file's value by its name."""
    names = [file for files in LAYOUTS[layout].values() for file in files] + list(OTHERS.get(layout, ()))
    values = {}
    for value, name in enumerate(names, 1):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / name), np.full((8, 12, 3), 5 * value, np.uint8))
        values[name] = 5 * value
    return values


def build(layout, folder, **options) -> SeededDataset:
    dataset = load_config(layout).test_dataloader.dataset
    with DefaultScope.overwrite_default_scope('mmdefusion'):
        return DATASETS.build({**dataset, 'data_root': str(folder), 'ann_file': '', **options})


@pytest.mark.parametrize('layout', LAYOUTS)
def test_published_layout_gives_its_pairs(layout, tmp_path):
    values = make_copy(tmp_path, layout)
    dataset = build(layout, tmp_path)
    assert [dataset.get_data_info(index)['name'] for index in range(len(dataset))] == sorted(LAYOUTS[layout])
    for index, name in enumerate(sorted(LAYOUTS[layout])):
        files = LAYOUTS[layout][name]
        sample = dataset[index]
        expected = torch.tensor([values[file] for file in files[:2]]).repeat_interleave(3)
        assert torch.equal(sample['inputs'], expected.to(torch.uint8)[:, None, None].expand(6, 8, 12))
        assert sample['data_samples'].name == name
        assert sample['data_samples'].img_path == str(tmp_path / files[0])
        if len(files) == 3:
            assert (sample['data_samples'].gt_fused == values[files[2]] / 255).all()
        else:
            assert 'gt_fused' not in sample['data_samples']


@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_missing_file_is_reported_with_its_pair(layout, tmp_path):
    make_copy(tmp_path, layout)
    name, files = sorted(LAYOUTS[layout].items())[-1]
    (tmp_path / files[-1]).unlink()
    with pytest.raises(ValueError, match='1 of the images have no partner') as caught:
        build(layout, tmp_path)
    assert name in str(caught.value) and 'no such image' in str(caught.value)


@pytest.mark.parametrize('layout', ['roadscene', 'msrs', 'mefb', 'lytro', 'mri-pet', 'mffw'])
def test_two_images_of_one_name_are_reported(layout, tmp_path):
    make_copy(tmp_path, layout)
    name, files = sorted(LAYOUTS[layout].items())[0]
    (tmp_path / files[0]).with_suffix('.tif').write_bytes(b'')
    with pytest.raises(ValueError, match=r'2 images \(.*\.tif.*\); expected one') as caught:
        build(layout, tmp_path)
    assert name in str(caught.value)


def test_a_sequence_of_one_image_is_no_pair(tmp_path):
    make_copy(tmp_path, 'sice')
    for number in (2, 9, 10):
        (tmp_path / f'1/{number}.JPG').unlink()
    with pytest.raises(ValueError, match=r'1: .*1/1.JPG would be its own partner'):
        build('sice', tmp_path)


def test_a_truth_of_another_size_is_an_error(tmp_path):
    make_copy(tmp_path, 'mfi-whu')
    cv2.imwrite(str(tmp_path / 'full_clear/1.jpg'), np.zeros((8, 11, 3), np.uint8))
    dataset = build('mfi-whu', tmp_path)
    with pytest.raises(ValueError, match=r'full_clear/1.jpg: 11 x 8 pixels .*source_1/1.jpg, 12 x 8'):
        dataset[0]


@pytest.mark.parametrize('layout', LAYOUTS)
def test_config_says_how_data_lies_and_what_was_tested(layout):
    path = CONFIGS / f'fusion_{layout.split(" ")[0]}.py'
    comment = path.read_text().split('\n_base_')[0]
    assert '├──' in comment and 'Tested on' in comment
    assert ('Not run on the real files' in comment) != ('Run on' in comment)
    metrics = load_config(layout).test_evaluator.metrics
    assert len(metrics) == len(set(metrics)) and set(metrics) <= {*FUSION_METRICS, *REFERENCE_METRICS}
    has_truth = 'gt_path' in load_config(layout).test_dataloader.dataset.data_prefix
    assert has_truth == bool(set(metrics) & set(REFERENCE_METRICS))


@pytest.mark.parametrize(
    ('config', 'ranked'),
    [
        ('infrared_visible_test', ['MI', 'SCD', 'VIF', 'Qabf', 'SSIM']),
        ('multi_focus_test', ['NMI', 'VIF', 'Qabf', 'SSIM']),
        ('multi_exposure_test', ['MEF-SSIM', 'MI', 'VIF', 'Qabf', 'SSIM']),
    ],
)
def test_ranked_metrics_come_first(config, ranked):
    assert Config.fromfile(CONFIGS / f'{config}.py').test_evaluator.metrics[: len(ranked)] == ranked


def read_split(name):
    return (CONFIGS / f'splits/{name}.txt').read_text().split()


def test_splits_are_disjoint():
    for dataset, sizes in {'roadscene': dict(train=149, val=22, test=50), 'msrs': dict(train=89, val=31)}.items():
        names = [name for split in sizes for name in read_split(f'{dataset}_{split}')]
        assert len(names) == len(set(names)) == sum(sizes.values())
        assert {split: len(read_split(f'{dataset}_{split}')) for split in sizes} == sizes


def test_name_list_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in read_split('roadscene_test'):
        for side in ('vi', 'ir'):
            (tmp_path / 'data' / side).mkdir(parents=True, exist_ok=True)
            (tmp_path / 'data' / side / f'{name}.jpg').write_bytes(b'')
    (tmp_path / 'data/vi/not_in_the_list.jpg').write_bytes(b'')
    dataset = load_config('roadscene').test_dataloader.dataset
    with DefaultScope.overwrite_default_scope('mmdefusion'):
        built = DATASETS.build({**dataset, 'data_root': 'data'})
    assert [built.get_data_info(index)['name'] for index in range(50)] == read_split('roadscene_test')
    (tmp_path / 'data/ir' / f'{read_split("roadscene_test")[3]}.jpg').unlink()
    with (
        DefaultScope.overwrite_default_scope('mmdefusion'),
        pytest.raises(ValueError, match=read_split('roadscene_test')[3]),
    ):
        DATASETS.build({**dataset, 'data_root': 'data'})


@pytest.mark.skipif(not SHARED.is_dir(), reason='needs the real data')
@pytest.mark.parametrize(
    ('config', 'folder', 'count'),
    [
        ('roadscene', 'roadscene', 50),
        ('roadscene-val', 'roadscene', 22),
        ('msrs', 'msrs', 120),
        ('msrs-val', 'msrs', 31),
        ('lytro', 'lytro', 20),
        ('mefb', 'mefb', 25),
        ('mri-ct', 'medical/mri_ct', 6),
        ('mri-pet', 'medical/mri_pet', 11),
        ('mri-spect', 'medical/mri_spect', 19),
    ],
)
def test_real_data_by_data_root_alone(config, folder, count):
    dataset = Config.fromfile(ROOT / f'configs/fusion/defusion-pp_nano_{config}.py').test_dataloader.dataset
    with DefaultScope.overwrite_default_scope('mmdefusion'):
        built = DATASETS.build({**dataset, 'data_root': str(SHARED / folder)})
    assert len(built) == count
    sample = built[count - 1]
    assert sample['inputs'].shape[0] == 6 and sample['inputs'].float().std() > 5
