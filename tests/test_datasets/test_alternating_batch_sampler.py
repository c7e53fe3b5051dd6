# Copyright (c) mmdefusion authors. All rights reserved.
from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, DefaultSampler, InfiniteSampler
from mmengine.runner import Runner

from mmdefusion.datasets import AlternatingBatchSampler, ImageFolderDataset
from mmdefusion.datasets.samplers.alternating_batch_sampler import make_cycle

SIZES = (10, 7, 3)


class DrawNumbers:
    """Stands for a pipeline: gives the kind and a random number."""

    def __call__(self, results):
        return dict(kind=results['kind'], path=results['img_path'], draw=np.random.random())


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    parts = []
    for kind, size in enumerate(SIZES):
        folder = tmp_path_factory.mktemp(f'kind{kind}')
        for index in range(size):
            cv2.imwrite(str(folder / f'{index:02}.png'), np.zeros((4, 4, 3), np.uint8))
        parts.append(ImageFolderDataset(data_root=str(folder), kind=str(kind), pipeline=[DrawNumbers()]))
    return ConcatDataset(parts)


def make(dataset, batch_size=2, shuffle=True, seed=0, rank=0, world_size=1, **kwargs):
    sampler = DefaultSampler(dataset, shuffle=shuffle, seed=seed)
    sampler.rank, sampler.world_size = rank, world_size
    return AlternatingBatchSampler(sampler, batch_size, **kwargs)


def epoch(batches, number):
    batches.sampler.set_epoch(number)
    return list(batches)


def kinds(batches):
    found = [{sum(index >= bound for bound in (10, 17)) for index in batch} for batch in batches]
    assert all(len(kind) == 1 for kind in found)
    return [kind for (kind,) in found]


@pytest.mark.parametrize(
    ('ratio', 'cycle'),
    [((1, 1), [0, 1]), ((3, 1), [0, 0, 1, 0]), ((1, 2), [1, 0, 1]), ((2, 1, 1), [0, 1, 2, 0]), ((0, 2), [1, 1])],
)
def test_kinds_are_spread_evenly_over_a_cycle(ratio, cycle):
    assert make_cycle(ratio) == cycle


def test_order_and_length_of_an_epoch(dataset):
    # Kind 0 has ten samples: once through is 5 batches of 2, so 5 cycles.
    assert kinds(make(dataset)) == [0, 1, 2] * 5
    assert kinds(make(dataset, ratio=(2, 1, 1))) == [0, 1, 2, 0] * 2 + [0, 1]  # ceil(5 * 4 / 2)
    assert len(make(dataset, ratio=(1, 2, 0), epoch_kind=1)) == 5  # 7 // 2 batches, two of them in a cycle of three
    assert len(make(dataset, ratio=(1, 1, 0), world_size=2)) == 4  # 10 // (2 * 2) batches of each
    assert kinds(make(dataset, num_batches=4)) == [0, 1, 2, 0]
    # Epochs go on where the one before ended, in the middle of a cycle too.
    assert kinds(epoch(make(dataset, num_batches=4), 1)) == [1, 2, 0, 1]


def test_each_kind_is_gone_through_before_it_is_shuffled_anew(dataset):
    batches = make(dataset, num_batches=42)
    for kind, bound in enumerate((0, 10, 17)):
        used = [i - bound for e in range(3) for batch in epoch(batches, e) if kinds([batch]) == [kind] for i in batch]
        assert len(used) == 84
        size = SIZES[kind]
        turns = [used[start : start + size] for start in range(0, len(used) - size + 1, size)]
        assert all(sorted(turn) == list(range(size)) for turn in turns)
        assert len({tuple(turn) for turn in turns}) > 1


def test_batches_are_a_function_of_seed_and_epoch(dataset):
    first = [epoch(make(dataset), number) for number in range(3)]
    batches = make(dataset)
    assert epoch(batches, 2) == first[2]  # as a resumed run, without the epochs before
    assert epoch(batches, 0) == first[0] != first[1]
    assert epoch(make(dataset, seed=1), 0) != first[0]
    in_order = epoch(make(dataset, shuffle=False, num_batches=6), 0)
    assert in_order == [[0, 1], [10, 11], [17, 18], [2, 3], [12, 13], [19, 17]]


@pytest.mark.parametrize('world_size', [2, 3])
def test_ranks_share_the_batches_of_one_process(dataset, world_size):
    together = epoch(make(dataset, batch_size=2 * world_size, num_batches=12), 1)
    ranks = [epoch(make(dataset, rank=r, world_size=world_size, num_batches=12), 1) for r in range(world_size)]
    assert len({tuple(kinds(rank)) for rank in ranks}) == 1
    for whole, *shares in zip(together, *ranks, strict=True):
        assert Counter(whole) == sum((Counter(share) for share in shares), Counter())


def test_a_runner_builds_it_and_the_hook_sets_its_epoch(dataset):
    config = dict(
        dataset=dataset,
        batch_size=2,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=True),
        batch_sampler=dict(type='mmdefusion.AlternatingBatchSampler', ratio=(1, 1, 0)),
        collate_fn=dict(type='pseudo_collate'),
    )
    loader = Runner.build_dataloader(config, seed=5)
    loader.batch_sampler.sampler.set_epoch(3)  # as DistSamplerSeedHook does
    found = [batch['kind'] for batch in loader]
    assert found == [['0'] * 2, ['1'] * 2] * 5
    expected = [dataset[index]['path'] for batch in epoch(make(dataset, seed=5, ratio=(1, 1, 0)), 3) for index in batch]
    assert [path for batch in loader for path in batch['path']] == expected


def test_workers_that_live_on_alternate_too(dataset):
    batches = make(dataset, num_batches=6)
    loader = torch.utils.data.DataLoader(
        dataset, batch_sampler=batches, num_workers=2, persistent_workers=True, collate_fn=list
    )
    for number in range(2):
        batches.sampler.set_epoch(number)
        assert [[item['kind'] for item in batch] for batch in loader] == [[str(kind)] * 2 for kind in (0, 1, 2)] * 2


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(ratio=(1, 1)), r'each of the 3 datasets.*found \(1, 1\)'),
        (dict(ratio=(0, 0, 0)), 'one of them above 0'),
        (dict(ratio=(1, -1, 1)), 'whole number from 0'),
        (dict(ratio=(0, 1, 1)), r'epoch_kind must be a kind with a share in ratio=\(0, 1, 1\), found 0'),
        (dict(epoch_kind=3), 'found 3'),
        (dict(num_batches=0), 'num_batches must be at least 1, found 0'),
    ],
)
def test_bad_settings(dataset, kwargs, message):
    with pytest.raises(ValueError, match=message):
        make(dataset, **kwargs)


def test_other_samplers_and_datasets_are_refused(dataset):
    with pytest.raises(TypeError, match='found InfiniteSampler over ConcatDataset'):
        AlternatingBatchSampler(InfiniteSampler(dataset), 2)
    with pytest.raises(TypeError, match='found DefaultSampler over ImageFolderDataset'):
        AlternatingBatchSampler(DefaultSampler(dataset.datasets[0]), 2)
