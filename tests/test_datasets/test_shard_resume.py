# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmdefusion.datasets.converters import list_sources, pack_shards

pytest.importorskip('webdataset')


class Seen(Hook):
    """Writes down the batches of each iteration: names, and what augmentation made of them."""

    def __init__(self):
        self.batches = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        names = [sample.name for sample in data_batch['data_samples']]
        self.batches[runner.iter] = names, torch.stack(data_batch['inputs']).long().sum((1, 2, 3)).tolist()


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 1, 1)

    def forward(self, inputs, data_samples, mode):
        return dict(loss=self.layer(torch.stack(inputs).float() / 255).square().mean())


@pytest.fixture(scope='module')
def shards(photo_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp('packed') / 'shards'
    pack_shards(list_sources(str(photo_folder)), str(folder), samples_per_shard=6)
    return folder


def train(shards, work_dir, loop, resume=None, workers=2, infinite=False):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', scale=4),
        dict(type='PackFusionInputs'),
    ]
    seen = Seen()
    Runner(
        model=Toy(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=4,
            num_workers=workers,
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_sampler=dict(type='ShardBatchSampler', num_streams=2, infinite=infinite),
            dataset=dict(type='ShardDataset', data_root=str(shards), shuffle_buffer=8, pipeline=pipeline),
        ),
        train_cfg=loop,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1)),
        custom_hooks=[seen, dict(type='ReproducibleRunHook')],
        randomness=dict(seed=3),
        load_from=resume,
        resume=resume is not None,
        default_scope='mmdefusion',
        experiment_name=f'{work_dir.name}',
    ).train()
    return seen.batches, torch.load(work_dir / f'iter_{max(seen.batches) + 1}.pth', weights_only=True)['state_dict']


def check_resumed(whole, resumed, first):
    (batches, weights), (rest, again) = whole, resumed
    assert rest == {number: batch for number, batch in batches.items() if number >= first}
    assert all(torch.equal(value, again[name]) for name, value in weights.items())


def test_an_epoch_goes_on_where_it_was_left(shards, tmp_path):
    loop = dict(type='ResumableTrainLoop', max_epochs=2)
    whole = train(shards, tmp_path / 'whole', loop)
    assert len(whole[0]) == 20  # 40 samples are 10 batches of 4
    assert sorted(name for batch in range(10) for name in whole[0][batch][0]) == sorted(
        name for batch in range(10, 20) for name in whole[0][batch][0]
    )
    for first, workers in ((13, 2), (3, 0)):
        resumed = train(shards, tmp_path / f'from{first}', loop, str(tmp_path / f'whole/iter_{first}.pth'), workers)
        check_resumed(whole, resumed, first)


def test_training_by_iterations_goes_on_too(shards, tmp_path):
    loop = dict(type='IterBasedTrainLoop', max_iters=16)
    whole = train(shards, tmp_path / 'whole', loop, infinite=True)
    resumed = train(shards, tmp_path / 'rest', loop, str(tmp_path / 'whole/iter_13.pth'), infinite=True)
    check_resumed(whole, resumed, 13)
    by_epochs = train(shards, tmp_path / 'epochs', dict(type='EpochBasedTrainLoop', max_epochs=2))
    assert {number: by_epochs[0][number] for number in range(16)} == whole[0]
