# Copyright (c) mmdefusion authors. All rights reserved.
import copy

import pytest
import torch

from mmdefusion.models import DeFusionViT
from mmdefusion.models.layers import TokenGrid, sincos_positions, to_map
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


def save_pretraining(tmp_path, published):
    """A pretraining run's checkpoint, or a published file of its tensors alone."""
    model = MODELS.build(tiny_model_cfg())
    content = dict(state_dict=model.state_dict())
    if not published:
        content.update(meta=dict(epoch=1, cfg='arch = 1'), optimizer=torch.optim.Adam(model.parameters()).state_dict())
    path = str(tmp_path / 'weights.pth')
    torch.save(content, path)
    return model, path


@pytest.mark.parametrize('published', [False, True])
def test_whole_backbone_tensor_by_tensor(tmp_path, published):
    model, path = save_pretraining(tmp_path, published)
    init_cfg = dict(type='Pretrained', checkpoint=path, prefix='backbone.')
    backbone = DeFusionViT(TINY_ARCH, frozen_stages=4, init_cfg=init_cfg)
    before = copy.deepcopy(backbone.state_dict())
    backbone.init_weights()
    pretrained = model.backbone.state_dict()
    assert list(pretrained) == list(backbone.state_dict())
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, pretrained[name]), name
    assert not torch.equal(before['fusion.fuse.qkv.weight'], pretrained['fusion.fuse.qkv.weight'])
    x = torch.rand(1, 6, 24, 20)
    assert torch.equal(backbone.eval()(x)[0], model.backbone.eval()(x)[0])


@pytest.mark.parametrize('prefix', ['bakbone.', 'backbone.fusion.'])
def test_a_wrong_prefix_raises(tmp_path, prefix):
    _, path = save_pretraining(tmp_path, published=True)
    backbone = DeFusionViT(TINY_ARCH, init_cfg=dict(type='Pretrained', checkpoint=path, prefix=prefix))
    with pytest.raises(ValueError, match=rf'no tensor of .*weights.pth fits DeFusionViT \(prefix {prefix!r}\)'):
        backbone.init_weights()


@pytest.mark.parametrize('window_size', [4, None])
def test_weights_do_not_depend_on_the_image_size(tmp_path, window_size):
    """Positions are computed, not stored: what was trained on 16 pixels runs on any size."""
    sizes = dict(TINY_ARCH, window_size=window_size)
    model = MODELS.build(tiny_model_cfg(window_size=window_size))
    assert not [name for name in model.backbone.state_dict() if name.split('.')[0] == 'pos_embed']
    path = str(tmp_path / 'weights.pth')
    torch.save(dict(state_dict=model.state_dict()), path)
    backbone = DeFusionViT(sizes, init_cfg=dict(type='Pretrained', checkpoint=path, prefix='backbone.'))
    backbone.init_weights()
    large = torch.rand(1, 6, 48, 64)
    (there,), (here,) = model.backbone.eval()(large), backbone.eval()(large)
    assert here.shape == (1, 16, 12, 16) and torch.equal(there, here)
    grids = [TokenGrid.of_image(*size, 4, window_size) for size in ((16, 16), (48, 64))]
    small, big = (to_map(sincos_positions(grid, 16, torch.device('cpu')), grid) for grid in grids)
    assert torch.equal(big[..., :4, :4], small)


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


def test_a_backbone_of_another_arch_is_not_loaded_in_part():
    init_cfg = dict(type='Pretrained', checkpoint='mmdefusion://backbone', prefix='backbone.')
    with pytest.raises(
        ValueError, match=r'of another arch than this one: \d+ tensors loaded from mmdefusion://backbone'
    ):
        DeFusionViT('tiny', init_cfg=init_cfg).init_weights()
