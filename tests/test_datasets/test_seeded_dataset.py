# Copyright (c) mmdefusion authors. All rights reserved.
import random

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mmdefusion.datasets import ImageFolderDataset
from mmdefusion.datasets.base_dataset import local_seed


class DrawNumbers:
    """Stands for any augmentation: draws from both generators."""

    def __call__(self, results):
        return torch.tensor([random.random(), np.random.random()])


@pytest.fixture
def photos(tmp_path):
    for index in range(45):
        cv2.imwrite(str(tmp_path / f'{index:02}.png'), np.full((4, 4, 3), index, np.uint8))
    return tmp_path


def make(photos, **kwargs):
    return ImageFolderDataset(data_root=str(photos), pipeline=[DrawNumbers()], **kwargs)


def epoch(dataset, **loader):
    return torch.cat([batch for batch in DataLoader(dataset, batch_size=4, **loader)])


def test_numbers_depend_on_seed_epoch_and_index_only(photos):
    dataset = make(photos)
    dataset.set_stream(seed=7, epoch=3)
    expected = epoch(dataset)
    assert len(torch.unique(expected, dim=0)) == 45
    for workers in (1, 2):
        other = make(photos)
        other.set_stream(seed=7, epoch=3)
        assert torch.equal(epoch(other, num_workers=workers), expected)
    for stream in ((7, 4), (8, 3)):
        dataset.set_stream(*stream)
        assert not torch.equal(epoch(dataset), expected)


def test_workers_that_live_on_see_the_next_epoch(photos):
    dataset, reference = make(photos), make(photos)
    loader = DataLoader(dataset, batch_size=4, num_workers=2, persistent_workers=True)
    for number in range(3):
        dataset.set_stream(0, number)
        reference.set_stream(0, number)
        assert torch.equal(torch.cat(list(loader)), epoch(reference))


def test_further_visits_in_an_epoch_are_new(photos):
    dataset = make(photos)
    dataset.set_stream(0, 0)
    draws = torch.stack([dataset[5] for _ in range(4)])
    assert len(torch.unique(draws, dim=0)) == 4
    again = make(photos)
    again.set_stream(0, 0)
    assert torch.equal(torch.stack([again[5] for _ in range(4)]), draws)


def test_validation_never_changes(photos):
    dataset = make(photos, test_mode=True)
    first = dataset[5]
    dataset.set_stream(9, 9)
    assert torch.equal(dataset[5], first)


def test_the_callers_generators_are_left_alone():
    random.seed(0)
    np.random.seed(0)
    expected = random.random(), np.random.random()
    random.seed(0)
    np.random.seed(0)
    with local_seed(1, 2):
        random.random()
        np.random.random()
    assert (random.random(), np.random.random()) == expected


def test_subsets_are_disjoint_and_complete(photos):
    names = {
        subset: [make(photos, subset=subset).get_data_info(i)['img_path'][-6:-4] for i in range(count)]
        for subset, count in (('train', 42), ('val', 3), ('all', 45))
    }
    assert names['val'] == ['00', '20', '40']
    assert sorted(names['train'] + names['val']) == names['all'] == [f'{index:02}' for index in range(45)]


def test_name_list_and_indices(photos):
    (photos / 'list.txt').write_text('07.png\n\n03.png\n')
    dataset = make(photos, ann_file='list.txt')
    assert [dataset.get_data_info(i)['img_path'][-6:] for i in range(len(dataset))] == ['07.png', '03.png']
    assert len(make(photos, indices=10)) == 10


def test_missing_data(photos, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere.*no such folder.*\.jpg.*--cfg-options'):
        ImageFolderDataset(data_root=str(tmp_path / 'nowhere'))
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match="no photo of subset 'all'"):
        ImageFolderDataset(data_root=str(tmp_path / 'empty'))
    (photos / 'list.txt').write_text('07.png\nabsent.png\n')
    with pytest.raises(FileNotFoundError, match=r"1 of the 2 files listed in .*list.txt .*\['absent.png'\]"):
        make(photos, ann_file='list.txt')
    with pytest.raises(ValueError, match="subset must be .* got 'test'"):
        make(photos, subset='test')
