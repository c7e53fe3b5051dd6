# Copyright (c) mmdefusion authors. All rights reserved.
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmdefusion.engine.strategies import shard_model
from mmdefusion.registry import MODELS
from mmdefusion.testing import tiny_model_cfg

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """Folder with a run of two processes for each strategy."""
    folder = tmp_path_factory.mktemp('strategies')
    environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
    command = [sys.executable, str(Path(__file__).with_name('strategies_of_two.py')), str(folder / 'meet'), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def load(path):
    return torch.load(path, map_location='cpu', weights_only=True)


def assert_close(first, second, tolerance, parts=('state_dict', 'ema_state_dict')):
    for part in parts:
        assert first[part].keys() == second[part].keys()
        for name, value in first[part].items():
            assert type(second[part][name]) is torch.Tensor and second[part][name].shape == value.shape
            assert torch.allclose(value.float(), second[part][name].float(), rtol=0, atol=tolerance), name


def largest_change(first, second):
    """How far a weight has moved from one checkpoint to another."""
    first, second = load(first)['state_dict'], load(second)['state_dict']
    return max((value - second[name]).abs().max() for name, value in first.items())


def test_sharded_weights_are_those_of_whole_copies(runs):
    whole, sharded = load(runs / 'ddp/iter_10.pth'), load(runs / 'fsdp/iter_10.pth')
    assert_close(whole, sharded, 5e-5)
    start = load(runs / 'ddp/iter_6.pth')['state_dict']
    name = 'backbone.fusion.fuse.qkv.weight'
    assert (start[name] - whole['state_dict'][name]).abs().max() > 1e-3
    assert whole['param_schedulers'] == sharded['param_schedulers']


def test_recomputed_activations_give_the_same_weights(runs):
    assert_close(load(runs / 'ddp/iter_10.pth'), load(runs / 'ddp_checkpointed/iter_10.pth'), 0)


def test_two_batches_of_two_processes_are_one_of_four(runs):
    whole, accumulated = load(runs / 'one_of_four/iter_2.pth'), load(runs / 'ddp_accumulated/iter_4.pth')
    assert_close(whole, accumulated, 1e-6, parts=['state_dict'])
    assert largest_change(runs / 'one_of_four/iter_1.pth', runs / 'one_of_four/iter_2.pth') > 1e-3


@pytest.mark.parametrize('resumed', ['ddp_from_one', 'fsdp_from_one', 'one_from_ddp', 'one_from_fsdp'])
def test_goes_on_with_another_number_of_processes(runs, resumed):
    undisturbed, end = load(runs / 'one/iter_10.pth'), load(runs / resumed / 'iter_10.pth')
    for checkpoint in (undisturbed, end):
        assert (checkpoint['meta']['epoch'], checkpoint['meta']['iter']) == (1, 10)
        assert checkpoint['message_hub']['runtime_info']['epoch_in_progress'] == [1, 5, 5]
    assert undisturbed['param_schedulers'] == end['param_schedulers']
    assert_close(undisturbed, end, 1e-5)
    assert largest_change(runs / 'one/iter_4.pth', runs / 'one/iter_10.pth') > 1e-2


def test_each_process_holds_half(runs):
    weights = sum(value.numel() for value in MODELS.build(tiny_model_cfg(detail_dims=4)).parameters())
    held = [int((runs / f'held_by_{rank}.txt').read_text()) for rank in range(2)]
    # Weights and first moments; all of them have an even first axis, apart from a few.
    assert sum(held) == 2 * weights
    assert max(held) < 0.52 * 2 * weights


def test_resumes_at_the_same_point_from_its_own_and_from_other_checkpoints(runs):
    sharded, whole = load(runs / 'fsdp/iter_10.pth'), load(runs / 'ddp/iter_10.pth')
    resumed = load(runs / 'fsdp_resumed/iter_10.pth')
    assert_close(sharded, resumed, 0)
    assert_close(whole, load(runs / 'fsdp_from_ddp/iter_10.pth'), 5e-5)
    moments = zip(sharded['optimizer']['state'].values(), resumed['optimizer']['state'].values(), strict=True)
    assert all(torch.equal(first[key], second[key]) for first, second in moments for key in first)


def test_a_model_without_such_modules_is_an_error():
    with pytest.raises(ValueError, match=r"units=\['Attention2'\]: Linear has no module of these classes"):
        shard_model(torch.nn.Linear(2, 2), ['Attention2'])
