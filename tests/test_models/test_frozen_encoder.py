# Copyright (c) mmdefusion authors. All rights reserved.
import copy

import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from torch import nn

from mmdefusion.models import FrozenEncoder, MAEViT
from mmdefusion.registry import MODELS
from mmdefusion.testing import TINY_TEACHER, tiny_mcud_cfg


@pytest.fixture
def weights(tmp_path):
    """A published MAE file in small: names without prefix, under 'model'."""
    path = tmp_path / 'teacher.pth'
    torch.manual_seed(3)
    encoder = MAEViT(**TINY_TEACHER)
    nn.init.normal_(encoder.cls_token)
    encoder.pos_embed.normal_()
    torch.save(dict(model=encoder.state_dict()), path)
    return path


def make(weights, **kwargs):
    teacher = FrozenEncoder(dict(type='mmdefusion.MAEViT', **TINY_TEACHER), str(weights), **kwargs)
    teacher.init_weights()
    return teacher


def test_gives_the_tokens_of_the_file(weights):
    torch.manual_seed(3)
    reference = MAEViT(**TINY_TEACHER)
    reference.load_state_dict(torch.load(weights, weights_only=True)['model'])
    images = torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        expected = reference.eval()(images)
    tokens = make(weights)(images)
    assert tokens.shape == (2, 1 + 2 * 3, 12) and not tokens.requires_grad
    torch.testing.assert_close(tokens, expected)


def test_images_are_resized_so_that_tokens_lie_where_they_are_asked_for(weights):
    teacher = make(weights)
    images = torch.rand(1, 3, 8, 12)
    tokens = teacher(images, (2, 3))
    enlarged = nn.functional.interpolate(images, size=(16, 24), mode='bilinear', antialias=True)
    torch.testing.assert_close(tokens, teacher(enlarged))


def test_is_in_no_list_of_the_model(weights):
    model = nn.ModuleDict(dict(teacher=make(weights), student=nn.Linear(2, 2)))
    assert sorted(model.state_dict()) == ['student.bias', 'student.weight']
    assert [name for name, _ in model.named_parameters()] == ['student.weight', 'student.bias']
    assert not list(model['teacher'].modules())[1:] and not list(model.buffers())


def test_stays_in_evaluation_mode(weights):
    teacher = make(weights)
    teacher.train()
    assert not any(module.training for module in teacher.network.modules())
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())


def test_moves_with_the_model(weights):
    model = nn.Sequential(make(weights))
    network = model[0].network
    model.to('meta')
    assert {value.device.type for value in network.state_dict().values()} == {'meta'}
    model = nn.Sequential(make(weights)).to(torch.float64)
    assert {value.dtype for value in model[0].network.state_dict().values()} == {torch.float64}
    model.half()
    assert next(model[0].network.parameters()).dtype == torch.float16


def test_bfloat16(weights):
    images = torch.rand(2, 3, 16, 16)
    half = make(weights, dtype='bfloat16')
    assert next(half.network.parameters()).dtype == torch.bfloat16
    tokens = half(images)
    assert tokens.dtype == torch.float32
    assert (tokens - make(weights)(images)).abs().mean() < 0.05 * tokens.abs().mean()
    with pytest.raises(ValueError, match="dtype must be .* got 'float16'"):
        make(weights, dtype='float16')


@pytest.mark.parametrize('supported', [True, False])
def test_auto_is_bfloat16_unless_a_cpu_emulates_it(weights, monkeypatch, supported):
    monkeypatch.setattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported', lambda: supported)
    expected = torch.bfloat16 if supported else torch.float32
    assert next(make(weights, dtype='auto').network.parameters()).dtype == expected


def test_a_copy_shares_the_network(weights):
    teacher = make(weights)
    assert copy.deepcopy(teacher).network is teacher.network
    late = FrozenEncoder(dict(type='mmdefusion.MAEViT', **TINY_TEACHER), str(weights))
    twin = copy.deepcopy(late)
    late.init_weights()
    assert twin.network is late.network


def test_a_missing_file_names_itself_and_the_recipe(tmp_path):
    path = tmp_path / 'absent.pth'
    teacher = FrozenEncoder(
        dict(type='mmdefusion.MAEViT', **TINY_TEACHER), str(path), recipe='python train.py teacher.py'
    )
    with pytest.raises(RuntimeError, match='absent.pth is not loaded; call init_weights'):
        teacher(torch.rand(1, 3, 16, 16))
    with pytest.raises(FileNotFoundError, match=r'absent.pth: no such file.*python train.py teacher.py'):
        teacher.init_weights()


@pytest.mark.parametrize('change', [dict(depth=3), dict(patch_size=4)])
def test_a_file_that_fits_in_part_is_an_error(weights, change):
    teacher = FrozenEncoder(dict(type='mmdefusion.MAEViT', **{**TINY_TEACHER, **change}), str(weights))
    with pytest.raises(ValueError, match='does not fit the encoder'):
        teacher.init_weights()


def test_the_model_never_trains_it(weights):
    model = MODELS.build(tiny_mcud_cfg(weights))
    # Testing needs no teacher.
    assert not any(teacher._network for teacher in model.teachers)
    model.init_weights()
    model.train()
    before = [copy.deepcopy(teacher.network.state_dict()) for teacher in model.teachers]
    assert not any(name.startswith('teachers') for name in model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = model(torch.rand(2, 6, 32, 32), [], mode='loss')
    sum(losses.values()).backward()
    optimizer.step()
    for teacher, state in zip(model.teachers, before, strict=True):
        assert all(value.grad is None for value in teacher.network.parameters())
        assert all(torch.equal(value, state[name]) for name, value in teacher.network.state_dict().items())


def test_is_outside_of_the_buckets_of_distributed_training(weights, tmp_path):
    model = MODELS.build(tiny_mcud_cfg(weights))
    model.init_weights()
    torch.distributed.init_process_group('gloo', f'file://{tmp_path}/rendezvous', rank=0, world_size=1)
    try:
        wrapper = MMDistributedDataParallel(model, device_ids=None, find_unused_parameters=True)
        managed = {id(parameter) for parameter in wrapper._module_parameters}
        teachers = {id(value) for teacher in model.teachers for value in teacher.network.parameters()}
        assert managed == {id(parameter) for parameter in model.parameters()} and not managed & teachers
        own = {id(buffer) for buffer in model.buffers()}
        assert {id(buffer) for buffer in wrapper.modules_buffers} <= own
    finally:
        torch.distributed.destroy_process_group()
