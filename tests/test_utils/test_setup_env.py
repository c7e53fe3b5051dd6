# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
from mmengine.config import Config

from mmdefusion.utils.setup_env import share_batch


@pytest.mark.parametrize(('launcher', 'expected'), [('pytorch', 3), ('none', 12)])
def test_processes_share_a_batch(monkeypatch, launcher, expected):
    monkeypatch.setenv('WORLD_SIZE', '4')
    cfg = Config(dict(launcher=launcher, train_dataloader=dict(batch_size=16)))
    share_batch(cfg, 12)
    assert cfg.train_dataloader.batch_size == expected


def test_unequal_parts_are_an_error(monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '4')
    cfg = Config(dict(launcher='pytorch', train_dataloader=dict(batch_size=16)))
    with pytest.raises(ValueError, match='--total-batch-size is 14; expected a multiple of the number of processes, 4'):
        share_batch(cfg, 14)
