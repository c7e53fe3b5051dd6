# Copyright (c) mmdefusion authors. All rights reserved.
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmdefusion.apis import FusionInferencer
from mmdefusion.models import DeFusionPP
from mmdefusion.registry import MODELS
from mmdefusion.testing import tiny_model_cfg

TOOL = Path(__file__).resolve().parents[2] / 'tools/model_converters/publish_model.py'


def save_training_checkpoint(path, seed=0):
    """A checkpoint as a runner writes it: config and optimizer beside the weights."""
    torch.manual_seed(seed)
    config = tiny_model_cfg(detail_dims=4)
    config['fusion_head'] = dict(type='mmdefusion.FusionHead', weights=dict(multi_focus=dict(truth=1.0)))
    model = MODELS.build(config)
    text = Config(dict(default_scope='mmdefusion', model=config)).pretty_text
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=text), optimizer=dict(step=torch.tensor(3))), path)
    return model


def test_a_published_file_fuses_as_the_checkpoint_does(run_tool, tmp_path):
    model = save_training_checkpoint(tmp_path / 'epoch_1.pth')
    result = run_tool('python', TOOL, 'epoch_1.pth', 'published.pth')
    assert result.returncode == 0, result.stderr
    content = torch.load(tmp_path / 'published.pth', weights_only=True)
    assert set(content) == {'state_dict', 'meta'}
    assert set(content['state_dict']) == set(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(content['state_dict'][name], value.half())
    assert 'fusion_head' not in content['meta']['cfg']

    pair = (torch.rand(2, 20, 28, 3) * 255).byte().numpy()
    fused = [
        FusionInferencer(weights=str(tmp_path / name), device='cpu', precision='float32', show_progress=False)
        for name in ('epoch_1.pth', 'published.pth')
    ]
    assert all(isinstance(inferencer.model, DeFusionPP) for inferencer in fused)
    before, after = (inferencer(tuple(pair))['predictions'][0].astype(int) for inferencer in fused)
    assert abs(before - after).max() <= 1


def test_the_mean_of_three_checkpoints(run_tool, tmp_path):
    models = [save_training_checkpoint(tmp_path / f'epoch_{seed}.pth', seed) for seed in range(3)]
    result = run_tool(
        'python', TOOL, 'epoch_0.pth', 'mean.pth', '--dtype', 'float32', '--average-with', 'epoch_1.pth', 'epoch_2.pth'
    )
    assert result.returncode == 0, result.stderr
    content = torch.load(tmp_path / 'mean.pth', weights_only=True)
    for name, value in content['state_dict'].items():
        expected = sum(model.state_dict()[name].double() for model in models) / 3
        torch.testing.assert_close(value, expected.float(), rtol=1e-6, atol=1e-7)


def test_the_backbone_alone(run_tool, tmp_path):
    model = save_training_checkpoint(tmp_path / 'epoch_1.pth')
    result = run_tool('python', TOOL, 'epoch_1.pth', 'backbone.pth', '--backbone-only', '--dtype', 'float32')
    assert result.returncode == 0, result.stderr
    weights = torch.load(tmp_path / 'backbone.pth', weights_only=True)['state_dict']
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'backbone.pth'), prefix='backbone.')
    backbone = MODELS.build(dict(tiny_model_cfg(detail_dims=4)['backbone'], init_cfg=init_cfg))
    backbone.init_weights()
    assert set(weights) == {f'backbone.{name}' for name in backbone.state_dict()}
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, model.backbone.state_dict()[name]), name
    with pytest.raises(ValueError, match=r"holds no whole model, but only \['backbone'\]"):
        FusionInferencer(weights=str(tmp_path / 'backbone.pth'), show_progress=False)


def test_a_checkpoint_without_config_is_refused(run_tool, tmp_path):
    torch.save(dict(state_dict={}), tmp_path / 'bare.pth')
    result = run_tool('python', TOOL, 'bare.pth', 'published.pth')
    assert result.returncode != 0 and 'bare.pth: contains no config' in result.stderr
    assert not (tmp_path / 'published.pth').exists()
