# Copyright (c) mmdefusion authors. All rights reserved.
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from mmdefusion.datasets import SeededDataset
from mmdefusion.engine.loops.resumable_train_loop import rest_of_epoch
from mmdefusion.testing import tiny_training_cfg


class Draws(SeededDataset):
    """Samples that are a random number each, and how many were made."""

    made = 0

    def load_data_list(self):
        return [{} for _ in range(3)]

    def prepare_data(self, idx):
        self.pipeline.transforms = [self.draw]
        return super().prepare_data(idx)

    def draw(self, results):
        self.made += 1
        return np.random.rand()


@pytest.mark.parametrize('num_workers', [0, 2])
def test_the_rest_of_an_epoch_is_as_in_the_whole(num_workers):
    # Every sample is seen four times, and by each worker augmented differently each time.
    order = BatchSampler([0, 1, 2] * 4, batch_size=2, drop_last=False)
    options = dict(batch_sampler=order, num_workers=num_workers, collate_fn=pseudo_collate)
    whole = list(DataLoader(Draws(), **options))
    assert len({value for batch in whole for value in batch}) > 3
    dataset = Draws()
    assert list(rest_of_epoch(DataLoader(dataset, **options), 4)) == whole[4:]
    # Samples are made in this process or in others.
    assert dataset.made == (0 if num_workers else 4)


def test_the_rest_of_a_stream_is_as_in_the_whole():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(6))

    assert [batch.tolist() for batch in rest_of_epoch(DataLoader(Stream(), batch_size=2), 2)] == [[4, 5]]


def test_goes_on_at_the_same_share_of_an_epoch(tmp_path):
    config = tiny_training_cfg(tmp_path, max_epochs=1)
    config['default_hooks']['checkpoint'].update(interval=4)
    Runner.from_cfg(Config({**config, 'experiment_name': 'quarters'})).train()
    start = torch.load(tmp_path / 'work_dir/iter_4.pth', weights_only=True)
    assert start['meta']['epoch'] == 0 and start['message_hub']['runtime_info']['epoch_in_progress'] == [0, 0, 10]

    config['train_dataloader']['batch_size'] = 4
    config.update(load_from=str(tmp_path / 'work_dir/iter_4.pth'), resume=True, experiment_name='halves')
    config['work_dir'] = str(tmp_path / 'resumed')
    Runner.from_cfg(Config(config)).train()
    # 4 of 10 batches of two are 2 of 5 batches of four: 3 are left.
    assert (tmp_path / 'resumed/last_checkpoint').read_text().endswith('iter_7.pth')
    end = torch.load(tmp_path / 'resumed/iter_7.pth', weights_only=True)
    assert end['message_hub']['runtime_info']['epoch_in_progress'] == [0, 2, 5]
    name = 'backbone.blocks.0.attn.qkv.weight'
    assert not torch.equal(start['state_dict'][name], end['state_dict'][name])
