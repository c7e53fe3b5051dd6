# Copyright (c) mmdefusion authors. All rights reserved.
import copy

import pytest
import torch

from mmdefusion.models import DeFusionViT
from mmdefusion.registry import MODELS
from mmdefusion.testing import TINY_ARCH, tiny_model_cfg
from mmdefusion.utils.pretrained import load_pretrained, strip_prefix


def encoder_weights(dims=16, depth=2, patch=4):
    """A plain ViT's weights under the names of timm and MAE, written without this package's modules."""
    weights = {
        'cls_token': torch.randn(1, 1, dims),
        'pos_embed': torch.randn(1, 10, dims),
        'patch_embed.proj.weight': torch.randn(dims, 3, patch, patch),
        'patch_embed.proj.bias': torch.randn(dims),
        'norm.weight': torch.randn(dims),
        'norm.bias': torch.randn(dims),
    }
    shapes = {
        'norm1': (dims,),
        'attn.qkv': (3 * dims, dims),
        'attn.proj': (dims, dims),
        'norm2': (dims,),
        'mlp.fc1': (4 * dims, dims),
        'mlp.fc2': (dims, 4 * dims),
    }
    for index in range(depth):
        for name, shape in shapes.items():
            weights[f'blocks.{index}.{name}.weight'] = torch.randn(shape)
            weights[f'blocks.{index}.{name}.bias'] = torch.randn(shape[0])
    return weights


@pytest.mark.parametrize(
    ('wrap', 'prefix'),
    [
        (lambda weights: weights, ''),
        (lambda weights: dict(model=weights, epoch=3), ''),  # MAE, TinyMIM
        (lambda weights: dict(state_dict=weights), 'module.'),
        (lambda weights: dict(model=weights), 'encoder.'),
    ],
)
def test_public_vit_weights_load_by_their_own_names(tmp_path, wrap, prefix):
    weights = encoder_weights()
    path = str(tmp_path / 'vit.pth')
    torch.save(wrap({f'{prefix}{name}': value for name, value in weights.items()}), path)
    backbone = DeFusionViT(TINY_ARCH)
    before = copy.deepcopy(backbone.state_dict())
    report = load_pretrained(backbone, dict(type='Pretrained', checkpoint=path))
    assert sorted(report.unused) == ['cls_token', 'pos_embed']
    assert len(report.matched) == len(weights) - 2 and report.mismatched == []
    after = backbone.state_dict()
    for name in after:
        assert torch.equal(after[name], weights[name] if name in weights else before[name]), name
    assert set(report.missing) == set(after) - set(weights)


def test_whole_backbone_from_a_pretraining_checkpoint(tmp_path):
    model = MODELS.build(tiny_model_cfg())
    path = str(tmp_path / 'epoch_1.pth')
    torch.save(dict(state_dict=model.state_dict(), meta=dict(epoch=1)), path)
    backbone = DeFusionViT(TINY_ARCH, init_cfg=dict(type='Pretrained', checkpoint=path, prefix='backbone.'))
    backbone.init_weights()
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(backbone.state_dict()[name], value), name


def test_a_model_initialises_its_pretrained_backbone(tmp_path):
    weights = encoder_weights()
    path = str(tmp_path / 'vit.pth')
    torch.save(weights, path)
    config = tiny_model_cfg()
    config['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint=path)
    model = MODELS.build(config)
    model.init_weights()
    assert torch.equal(model.backbone.blocks[1].mlp.fc2.weight, weights['blocks.1.mlp.fc2.weight'])


@pytest.mark.parametrize('prefix', ['bakbone.', None])
def test_nothing_matches(tmp_path, prefix):
    path = str(tmp_path / 'other.pth')
    torch.save({'stem.conv.weight': torch.zeros(3)}, path)
    with pytest.raises(ValueError, match='no tensor of .*other.pth fits DeFusionViT.*expected names like'):
        load_pretrained(DeFusionViT(TINY_ARCH), dict(type='Pretrained', checkpoint=path, prefix=prefix))


def test_other_shapes_are_told_and_left_out(tmp_path):
    weights = encoder_weights(patch=8)
    path = str(tmp_path / 'vit16.pth')
    torch.save(weights, path)
    report = load_pretrained(DeFusionViT(TINY_ARCH), dict(type='Pretrained', checkpoint=path))
    assert report.mismatched == ['patch_embed.proj.weight (16, 3, 8, 8) against (16, 3, 4, 4)']
    assert 'mismatched (1): patch_embed.proj.weight' in report.summary(path)


def test_a_file_that_runs_code_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / 'ran'), 'w'))

    path = str(tmp_path / 'trap.pth')
    torch.save(dict(state_dict=encoder_weights(), trap=Trap()), path)
    with pytest.raises(Exception, match='[Ww]eights.only'):
        load_pretrained(DeFusionViT(TINY_ARCH), dict(type='Pretrained', checkpoint=path))
    assert not (tmp_path / 'ran').exists()


def test_strip_prefix_takes_only_what_has_it():
    weights = {'backbone.a': torch.zeros(1), 'neck.a': torch.ones(1)}
    assert strip_prefix(weights, 'backbone') == {'a': weights['backbone.a']}


def test_other_init_cfg():
    with pytest.raises(ValueError, match="only be of type 'Pretrained'"):
        DeFusionViT(TINY_ARCH, init_cfg=dict(type='Kaiming')).init_weights()
