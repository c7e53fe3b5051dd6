# Copyright (c) mmdefusion authors. All rights reserved.
import warnings
from types import SimpleNamespace

import pytest
import torch
from mmengine.evaluator import Evaluator
from torch import nn

from mmdefusion.engine import AutocastOptimWrapper, AutocastTestLoop, AutocastValLoop
from mmdefusion.engine.optimizers import autocast_dtype


@pytest.mark.parametrize(('dtype', 'expected'), [('bfloat16', torch.bfloat16), ('float32', torch.float32)])
def test_forward_runs_in_the_type_and_weights_stay_float32(dtype, expected):
    model = nn.Linear(4, 4)
    wrapper = AutocastOptimWrapper(dtype=dtype, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    wrapper.device_type, wrapper.dtype = 'cpu', autocast_dtype(dtype, 'cpu')
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        result = model(torch.ones(2, 4))
        assert result.dtype == expected
        wrapper.update_params(result.float().sum())
    assert model.weight.dtype == torch.float32
    torch.testing.assert_close(model.weight, before - 0.1 * 2)


def test_accumulation_and_clipping_are_those_of_the_base_class():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    wrapper = AutocastOptimWrapper(
        optimizer=torch.optim.SGD(model.parameters(), lr=1.0), accumulative_counts=2, clip_grad=dict(max_norm=0.5)
    )
    for step, expected in ((1, 0.0), (2, -0.5)):
        with wrapper.optim_context(model):
            wrapper.update_params(model(torch.full((1, 1), 4.0)).float().sum())
        assert model.weight.item() == pytest.approx(expected, abs=1e-3), step


def test_auto_is_bfloat16_on_a_cpu_that_has_it_only(monkeypatch):
    for supported, expected in ((True, torch.bfloat16), (False, None)):
        monkeypatch.setattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported', lambda supported=supported: supported)
        assert autocast_dtype('auto', 'cpu') == expected
        assert autocast_dtype('auto', 'cuda') is None


def test_bfloat16_on_a_cpu_that_emulates_it_warns(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported', lambda: False)
    with pytest.warns(UserWarning, match='no instructions for bfloat16'):
        assert autocast_dtype('bfloat16', 'cpu') == torch.bfloat16
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert autocast_dtype('bfloat16', 'cuda') == torch.bfloat16
        assert autocast_dtype('float32', 'cpu') is None


@pytest.mark.parametrize('supported', [True, False])
@pytest.mark.parametrize('loop', [AutocastValLoop, AutocastTestLoop])
def test_loops_autocast_on_a_cpu_that_has_bfloat16_only(loop, supported, monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported', lambda: supported)
    seen = []

    class Model(nn.Linear):
        def val_step(self, batch):
            seen.append(self(batch).dtype)
            return [0]

        test_step = val_step

    runner = SimpleNamespace(model=Model(2, 2), call_hook=lambda *args, **kwargs: None)
    evaluator = Evaluator([])
    evaluator.evaluate = lambda size: {}
    loop(runner, torch.utils.data.DataLoader(torch.ones(1, 2)), evaluator).run()
    assert seen == [torch.bfloat16 if supported else torch.float32]


def test_bad_dtype():
    with pytest.raises(ValueError, match="dtype must be .* got 'float16'"):
        autocast_dtype('float16', 'cpu')
