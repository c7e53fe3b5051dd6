# Copyright (c) mmdefusion authors. All rights reserved.
import json
import shutil
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.logging import MMLogger
from torch.utils.data import DataLoader

from mmdefusion.datasets import ImageFolderDataset, PairedImageDataset, ShardBatchSampler, ShardDataset
from mmdefusion.datasets.converters import list_sources, pack_shards
from mmdefusion.datasets.packed import CorruptedSampleError, stream

pytest.importorskip('webdataset')

LOAD = [dict(type='LoadImageFromFile')]


class Look:
    """Ends a pipeline: the number of the photo, and a random number."""

    def __call__(self, results):
        return int(results['img'][0, 0, 0]), np.random.random()


@pytest.fixture(scope='module')
def shards(photo_folder, tmp_path_factory):
    """Forty photos in shards of seven, in the order of their numbers."""
    folder = tmp_path_factory.mktemp('packed') / 'shards'
    pack_shards(list_sources(str(photo_folder)), str(folder), samples_per_shard=7)
    return folder


@pytest.fixture
def broken(shards, tmp_path):
    """A copy to damage."""
    return shutil.copytree(shards, tmp_path / 'broken')


@pytest.fixture
def log(monkeypatch):
    """What is written to the log."""
    lines = []
    monkeypatch.setattr(stream, 'print_log', lambda text, **_: lines.append(text))
    monkeypatch.setattr('mmdefusion.datasets.shard_dataset.print_log', lambda text, **_: lines.append(text))
    return lines


def damage(folder, name, change):
    """Changes the content of a member in place; tars hold contents in blocks of 512 bytes."""
    for path in sorted(folder.glob('*.tar')):
        content = bytearray(path.read_bytes())
        start = content.find(f'{name}\0'.encode())
        if start >= 0:
            size = int(content[start + 124 : start + 135], 8)
            member = content[start + 512 : start + 512 + size]
            content[start + 512 : start + 512 + size] = change(member).ljust(size, b'\0')
            path.write_bytes(content)
            return path
    raise AssertionError(name)


def make(folder, shuffle_buffer=6, **kwargs):
    return ShardDataset(data_root=str(folder), pipeline=[*LOAD, Look()], shuffle_buffer=shuffle_buffer, **kwargs)


def batches_of(dataset, batch_size=3, epoch=0, rank=0, world_size=1, seed=5, shuffle=True, **kwargs):
    sampler = DefaultSampler(dataset, shuffle=shuffle, seed=seed)
    sampler.rank, sampler.world_size = rank, world_size
    sampler.set_epoch(epoch)
    return ShardBatchSampler(sampler, batch_size, **kwargs)


def load(folder, workers=0, batch_sampler=None, dataset=None, **kwargs):
    dataset = dataset or make(folder)
    sampler = batch_sampler or batches_of(dataset, **kwargs)
    return list(DataLoader(dataset, batch_sampler=sampler, num_workers=workers, collate_fn=list))


def numbers(batches):
    return [number for batch in batches for number, _ in batch]


def test_an_epoch_takes_every_sample_once_and_the_next_one_in_another_order(shards):
    epochs = [load(shards, epoch=epoch, batch_size=4) for epoch in range(3)]
    for epoch in epochs:
        assert [len(batch) for batch in epoch] == [4] * 10
        assert sorted(numbers(epoch)) == list(range(40))
    assert len({tuple(numbers(epoch)) for epoch in epochs}) == 3
    assert epochs[1] == load(shards, epoch=1, batch_size=4)
    assert numbers(load(shards, epoch=1, batch_size=4, seed=6)) != numbers(epochs[1])
    # A single stream without shuffling is the order of the shards.
    assert numbers(load(shards, shuffle=False, num_streams=1)) == list(range(39))
    # 40 samples are 13 batches of 3: another sample is left out in each epoch.
    assert len({tuple(set(range(40)) - set(numbers(load(shards, epoch=epoch)))) for epoch in range(6)}) > 1


@pytest.mark.parametrize('workers', [1, 2, 3])
def test_the_number_of_workers_changes_nothing(shards, workers):
    assert load(shards, workers, num_streams=4) == load(shards, num_streams=4)


def test_processes_share_an_epoch(shards):
    ranks = [load(shards, rank=rank, world_size=3, num_streams=2, epoch=2) for rank in range(3)]
    assert [len(rank) for rank in ranks] == [4, 4, 4]  # 40 // (3 * 3)
    assert set(Counter(number for rank in ranks for number in numbers(rank)).values()) == {1}


def test_samples_are_mixed_over_shards(shards):
    dataset = make(shards, shuffle_buffer=30)
    for batch in load(shards, dataset=dataset, num_streams=1, batch_size=10)[:2]:
        assert len({number // 7 for number, _ in batch}) >= 3


def test_augmentation_is_a_function_of_seed_epoch_and_index(shards, photo_folder):
    drawn = dict(entry for batch in load(shards, epoch=3, seed=5, batch_size=4) for entry in batch)
    assert (
        dict(entry for batch in load(shards, epoch=3, seed=5, batch_size=5, num_streams=2) for entry in batch) == drawn
    )
    # The very numbers of a folder, whose sample `index` is photo `index`.
    folder = ImageFolderDataset(data_root=str(photo_folder), pipeline=[*LOAD, Look()])
    folder.set_stream(seed=5, epoch=3)
    assert drawn == dict(folder[index] for index in range(40))
    other = dict(entry for batch in load(shards, epoch=4, seed=5, batch_size=4) for entry in batch)
    assert not set(drawn.values()) & set(other.values())


def test_training_goes_on_anywhere_without_reading_what_was_before(shards, monkeypatch):
    whole = load(shards, num_streams=2, epoch=1)
    in_order = load(shards, shuffle=False, num_streams=1)
    opened = []
    read_shard = stream.read_shard
    monkeypatch.setattr(stream, 'read_shard', lambda url, roles: opened.append(url) or read_shard(url, roles))
    counts = []
    for first in range(len(whole)):
        opened.clear()
        dataset = make(shards)
        rest = list(batches_of(dataset, num_streams=2, epoch=1))[first:]
        assert load(shards, dataset=dataset, batch_sampler=rest) == whole[first:], first
        counts.append(len(opened))
    # Six shards, and one that both streams share; in the end, those that what is left in the buffer came from.
    assert counts[0] == 7 and counts[-1] <= 3
    opened.clear()
    dataset = make(shards)
    rest = list(batches_of(dataset, shuffle=False, num_streams=1))[9:]
    assert load(shards, dataset=dataset, batch_sampler=rest) == in_order[9:]
    assert [url[-10:] for url in opened] == ['000003.tar', '000004.tar', '000005.tar']


def test_an_infinite_sampler_goes_through_epoch_after_epoch(shards):
    dataset = make(shards)
    iterator = iter(batches_of(dataset, infinite=True, epoch=2))
    three = [[dataset[slot] for slot in next(iterator)] for _ in range(39)]
    assert three == [batch for epoch in (2, 3, 4) for batch in load(shards, epoch=epoch)]


def test_any_index_can_be_read_as_from_a_folder(shards, photo_folder):
    pipeline = [*LOAD, dict(type='RandomResizedCrop', scale=4), dict(type='PackFusionInputs')]
    packed = ShardDataset(data_root=str(shards), pipeline=pipeline, test_mode=True, kind='photo')
    folder = ImageFolderDataset(data_root=str(photo_folder), pipeline=pipeline, test_mode=True)
    assert len(packed) == len(folder) == 40
    for index in (0, 1, 9, 8, 39, 0, 20):
        sample, expected = packed[index], folder[index]
        assert torch.equal(sample['inputs'], expected['inputs']), index
        meta = sample['data_samples']
        name = f'{"a" if index < 20 else "b"}/{index:02}'
        assert (meta.name, meta.kind, meta.sample_idx) == (name, 'photo', index)
        assert meta.img_path == f'shard://{shards}/shard-{index // 7:06}.tar/{name}.png'
    with pytest.raises(IndexError, match='40 samples; there is none with the index 40'):
        packed[40]
    loader = DataLoader(make(shards), batch_size=8, num_workers=2, collate_fn=list)
    assert numbers(loader) == list(range(40))


def test_a_process_does_not_share_open_files_with_its_workers(shards):
    dataset = make(shards)
    assert [dataset[index][0] for index in range(3)] == [0, 1, 2]
    # Forked here, with the first shard open behind its third sample.
    assert numbers(DataLoader(dataset, batch_size=3, num_workers=2, collate_fn=list)) == list(range(40))
    assert dataset[3][0] == 3


def test_shards_come_through_pipes(shards):
    dataset = make(shards, shard_url=f'pipe:cat {shards}/{{shard}}')
    assert load(shards, dataset=dataset) == load(shards)


def test_pairs(photo_folder, tmp_path):
    folders = [str(photo_folder / 'a'), str(tmp_path / 'ir'), str(tmp_path / 'gt')]
    for folder in folders[1:]:
        shutil.copytree(photo_folder / 'b', folder)
        for path in sorted((tmp_path / folder).iterdir()):
            path.rename(path.with_name(f'{int(path.stem) - 20:02}.png'))
    pack_shards(list_sources(*folders), str(tmp_path / 'shards'), samples_per_shard=8)
    pipeline = [*LOAD, dict(type='LoadPairedImage'), dict(type='LoadFusionTruth'), dict(type='PackFusionInputs')]
    packed = ShardDataset(data_root=str(tmp_path / 'shards'), pipeline=pipeline)
    folder = PairedImageDataset(
        data_root='',
        data_prefix=dict(zip(('img_path', 'partner_path', 'gt_path'), folders, strict=True)),
        pipeline=pipeline,
    )
    assert len(packed) == 20
    for index in (0, 19):
        sample, expected = packed[index], folder[index]
        assert torch.equal(sample['inputs'], expected['inputs']) and sample['inputs'].shape == (6, 8, 10)
        assert torch.equal(sample['data_samples'].gt_fused, expected['data_samples'].gt_fused)
        assert sample['data_samples'].partner_path.endswith(f'.tar/{index:02}.partner.png')


@pytest.mark.parametrize(
    'change',
    [lambda member: member[: len(member) // 2], lambda member: b'', lambda member: member[:40] + b'\xff' * 200],
    ids=['cut off', 'empty', 'overwritten'],
)
def test_a_corrupted_member_is_reported_and_replaced(shards, broken, log, change):
    path = damage(broken, 'a/11.png', change)
    whole, found = load(shards, batch_size=4), load(broken, batch_size=4)
    differing = [pair for old, new in zip(whole, found, strict=True) for pair in zip(old, new, strict=True)]
    differing = [(old, new) for old, new in differing if old != new]
    # One place differs, and holds the photo that follows in its stream, augmented as the one that is missing.
    ((old, new),) = differing
    assert old[0] == 11 and new[0] != 11 and new[1] == old[1]
    assert len(log) == 1
    assert f'sample 11 in {path}: ' in log[0] and 'a/11.png' in log[0] and '; skipped, 1 of at most 100' in log[0]
    # Also where training goes on at that very place.
    dataset = make(broken)
    batches = list(batches_of(dataset, batch_size=4))
    (number,) = (number for number, batch in enumerate(found) if new in batch and old not in batch)
    assert [dataset[slot] for slot in batches[number]] == found[number]
    # Asked for by its index, there is no place to put another one.
    with pytest.raises((CorruptedSampleError, AssertionError), match='a/11.png'):
        make(broken)[11]


def test_a_jpeg_without_its_end_is_corrupted_too():
    assert stream._looks_cut_off(b'\xff\xd8' + b'1' * 200)
    assert not stream._looks_cut_off(b'\xff\xd8' + b'1' * 200 + b'\xff\xd9' + b'\0' * 20)
    assert not stream._looks_cut_off(b'BM' + b'1' * 200)


def test_the_last_place_of_a_stream_takes_the_one_before(shards, broken, log):
    number = numbers(load(shards, num_streams=1, batch_size=40))[-1]
    damage(broken, f'{"a" if number < 20 else "b"}/{number:02}.png', lambda member: b'')
    found = load(broken, num_streams=1, batch_size=40)
    assert numbers(found)[-1] == numbers(found)[-2]


def test_a_limit_ends_it(broken, log):
    for number in (3, 12, 25):
        damage(broken, f'{"a" if number < 20 else "b"}/{number:02}.png', lambda member: b'')
    assert len(load(broken, dataset=make(broken, max_corrupted=3))) == 13 and len(log) == 3
    with pytest.raises(CorruptedSampleError, match=r'3 samples of epoch 1 could not be read.*max_corrupted=2.*\.tar'):
        load(broken, dataset=make(broken, max_corrupted=2), batch_size=4)
    # All workers count together, and each epoch anew.
    with pytest.raises(CorruptedSampleError, match='max_corrupted=2'):
        load(broken, workers=2, dataset=make(broken, max_corrupted=2), batch_size=4)
    dataset = make(broken, max_corrupted=3)
    for epoch in range(2):
        assert len(load(broken, dataset=dataset, batch_size=4, epoch=epoch)) == 10


def test_a_tar_that_breaks_off(shards, broken, log):
    path = broken / 'shard-000002.tar'
    content = path.read_bytes()
    start = content.find(b'a/17.png\0')
    path.write_bytes(content[: start + 600])
    found = load(broken, num_streams=1, batch_size=40)
    assert f'{path}: {start + 600} bytes; expected {len(content)}' in log[0]
    assert set(range(40)) - set(numbers(found)) == {17, 18, 19, 20}
    reports = [line for line in log if 'broken after the sample a/16' in line]
    assert len(reports) == 5  # the shard once, and each sample
    assert 'expected 7 samples, 4 cannot be read' in reports[0]
    # An overwritten header ends a tar in silence.
    content = bytearray(content)
    content[start : start + 512] = b'\xff' * 512
    path.write_bytes(content)
    log.clear()
    assert set(range(40)) - set(numbers(load(broken, num_streams=1, batch_size=40))) == {17, 18, 19, 20}
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of the 6 shards of .*shard-000002.tar'):
        make(broken)


def test_an_error_of_the_pipeline_is_not_passed_over(shards, log):
    def fail(results):
        raise RuntimeError('a mistake')

    dataset = ShardDataset(data_root=str(shards), pipeline=[*LOAD, fail])
    with pytest.raises(RuntimeError, match='a mistake'):
        load(shards, dataset=dataset)
    assert not log


def test_reports_of_workers_reach_the_log(broken, tmp_path):
    damage(broken, 'a/11.png', lambda member: b'')
    MMLogger.get_instance('shards', log_file=str(tmp_path / 'log.txt'))
    load(broken, workers=2)
    assert 'sample 11 in ' in (tmp_path / 'log.txt').read_text()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(format='other'), r"format and version are \('other', 1\)"),
        (dict(members=['partner']), r"members is \['partner'\]; expected \"img\""),
        (dict(shards=[]), '0 shards; expected at least one'),
        (dict(shards=[dict(name='a;rm x', samples=1, bytes=1)]), r"shards\[0\].name is 'a;rm x'"),
        (dict(shards=[dict(name='a.tar', samples=0, bytes=1)]), 'samples=0, bytes=1'),
        (dict(shards=[7]), r'shards\[0\].name is None'),
    ],
)
def test_a_bad_index(broken, change, message):
    path = broken / 'index.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=f'index.json: .*{message}'):
        make(broken)
    path.write_text('{')
    with pytest.raises(ValueError, match='not JSON'):
        make(broken)
    path.unlink()
    with pytest.raises(FileNotFoundError, match='pack_shards.py writes.*--cfg-options'):
        make(broken)


def test_bad_settings(shards, photo_folder, monkeypatch):
    for settings, message in (
        (dict(indices=3), r"\['indices'\] have no meaning"),
        (dict(shuffle_buffer=0), 'found 0 and 100'),
        (dict(shard_url='pipe:cat x'), r"must contain \{shard\} once, found 'pipe:cat x'"),
    ):
        with pytest.raises(ValueError, match=message):
            ShardDataset(data_root=str(shards), **settings)
    dataset = make(shards)
    with pytest.raises(TypeError, match='found InfiniteSampler over ShardDataset'):
        ShardBatchSampler(InfiniteSampler(dataset), 2)
    with pytest.raises(TypeError, match='found DefaultSampler over ImageFolderDataset'):
        ShardBatchSampler(DefaultSampler(ImageFolderDataset(data_root=str(photo_folder))), 2)
    with pytest.raises(ValueError, match='index.json: 40 samples; expected at least one batch, 21 for each of 2'):
        batches_of(dataset, 21, world_size=2)
    with pytest.raises(ValueError, match='num_streams from 1, found 2 and 0'):
        batches_of(dataset, 2, num_streams=0)
    with pytest.raises(ValueError, match='not open, none are'):
        stream.read_image(f'shard://{shards}/shard-000000.tar/a/00.png')
    monkeypatch.setitem(sys.modules, 'webdataset', None)
    with pytest.raises(ImportError, match='pip install -r requirements/data.txt'):
        make(shards)[0]
