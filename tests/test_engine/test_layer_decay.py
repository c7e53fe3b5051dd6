# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn

from mmdefusion.models import DeFusionViT
from mmdefusion.testing import TINY_ARCH


class Detector(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.neck = nn.Linear(16, 4)


def build(model, paramwise_cfg, **optimizer):
    return build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            constructor='mmdefusion.LayerDecayOptimWrapperConstructor',
            optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.2, **optimizer),
            paramwise_cfg=paramwise_cfg,
        ),
    )


def groups_by_name(model, wrapper):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(group['params'][0])]: group for group in wrapper.optimizer.param_groups}


@pytest.mark.parametrize('scope', ['mmdefusion', 'mmdet', 'mmseg'])
def test_learning_rates_by_depth(scope):
    if scope != 'mmdefusion':
        pytest.importorskip(scope)
    init_default_scope(scope)
    model = Detector(DeFusionViT(TINY_ARCH))
    groups = groups_by_name(model, build(model, dict(layer_decay_rate=0.5)))
    assert set(groups) == {name for name, _ in model.named_parameters()}
    expected = {
        'neck.weight': 0.1,
        'backbone.fusion.fuse.qkv.weight': 0.05,
        'backbone.decomposition.unique.mlp.fc1.bias': 0.025,
        'backbone.skip_decomposition.common.norm1.weight': 0.025,
        'backbone.blocks.1.attn.qkv.weight': 0.0125,
        'backbone.norm.weight': 0.0125,
        'backbone.blocks.0.mlp.fc2.weight': 0.00625,
        'backbone.skip_norms.0.bias': 0.00625,
        'backbone.patch_embed.proj.weight': 0.003125,
    }
    for name, rate in expected.items():
        assert groups[name]['lr'] == pytest.approx(rate), name
        assert groups[name]['weight_decay'] == 0.2


def test_factors_of_the_default_constructor_multiply():
    model = Detector(DeFusionViT(TINY_ARCH, frozen_stages=1))
    paramwise_cfg = dict(
        layer_decay_rate=0.5,
        norm_decay_mult=0.0,
        bias_decay_mult=0.5,
        custom_keys={'backbone.fusion': dict(lr_mult=0.1, decay_mult=2.0)},
    )
    groups = groups_by_name(model, build(model, paramwise_cfg))
    assert groups['backbone.fusion.fuse.qkv.weight']['lr'] == pytest.approx(0.1 * 0.1 * 0.5)
    assert groups['backbone.fusion.fuse.qkv.weight']['weight_decay'] == pytest.approx(0.4)
    assert groups['backbone.blocks.1.norm1.weight']['lr'] == pytest.approx(0.0125)
    assert groups['backbone.blocks.1.norm1.weight']['weight_decay'] == 0
    assert groups['neck.bias']['weight_decay'] == pytest.approx(0.1)
    # Frozen stages are not in the optimizer.
    assert not any(name.startswith(('backbone.patch_embed', 'backbone.blocks.0')) for name in groups)


def test_a_rate_of_one_changes_nothing():
    model = Detector(DeFusionViT(TINY_ARCH))
    groups = build(model, dict(layer_decay_rate=1.0)).optimizer.param_groups
    assert {group['lr'] for group in groups} == {0.1}


@pytest.mark.parametrize('rate', [None, 0.0, 1.5])
def test_bad_rates(rate):
    with pytest.raises(ValueError, match=rf'layer_decay_rate must be in \(0, 1\], got {rate}'):
        build(Detector(DeFusionViT(TINY_ARCH)), dict(layer_decay_rate=rate))


def test_a_backbone_that_does_not_know_its_depth():
    with pytest.raises(ValueError, match='needs a model whose backbone has get_layer_depth.*Detector has none'):
        build(Detector(nn.Linear(3, 3)), dict(layer_decay_rate=0.5))
