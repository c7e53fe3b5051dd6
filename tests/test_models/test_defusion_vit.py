# Copyright (c) mmdefusion authors. All rights reserved.
from collections import Counter

import pytest
import torch

from mmdefusion.models import DeFusionViT
from mmdefusion.models.layers import TokenGrid, to_map
from mmdefusion.models.layers.statistics import normalize
from mmdefusion.registry import MODELS
from mmdefusion.testing import TINY_ARCH, tiny_model_cfg


def linear(inputs, outputs):
    return inputs * outputs + outputs


def block(dims):
    norms = 2 * 2 * dims
    return norms + linear(dims, 3 * dims) + linear(dims, dims) + linear(dims, 4 * dims) + linear(4 * dims, dims)


def count(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def test_parameters_of_the_published_network():
    config = dict(type='DeFusionPP', backbone=dict(type='DeFusionViT'), neck=dict(type='DeFusionDecoder'))
    model = MODELS.build(config)
    backbone, neck = model.backbone, model.neck
    patch = 3 * 16 * 16
    encoder = linear(patch, 192) + 12 * block(192) + 2 * 192
    assert count(backbone.patch_embed, backbone.blocks, backbone.norm) == encoder == 5_486_400  # 5.49 M
    # A cross-attention layer has the parts of a block, in another order.
    assert count(backbone.decomposition.common) == block(192) == 444_864
    # The release projects Q, K and V twice.
    double = linear(192, 3 * 192)
    assert block(192) + double == 556_032  # 0.56 M
    head = block(192) + linear(192, patch)
    assert count(neck.fused) == head
    assert head + block(192) + double == 1_149_120  # 1.15 M
    masked = 2 * block(192) + 2 * 192 + linear(192, patch) + 192
    assert count(neck.masked) == masked
    # common, unique and fuse in two streams; a residual block in each; R; three heads; two norms of the skip stream
    total = encoder + 6 * block(192) + 2 * block(192) + 2 * block(192) + 3 * head + masked + 2 * 2 * 192
    assert count(model) == total == 12_753_600  # 12.75 M
    assert round((total + 6 * double) / 1e6, 2) == 13.42


@pytest.mark.parametrize('size', [(16, 16), (37, 50), (5, 3), (64, 33)])
def test_any_size_one_or_two_images(size):
    backbone = DeFusionViT(TINY_ARCH).eval()
    x1, x2 = torch.rand(2, 3, 3, *size)
    expected = (3, 16, -(-size[0] // 4), -(-size[1] // 4))
    (pair,) = backbone(torch.cat([x1, x2], dim=1))
    (single,) = backbone(x1)
    assert pair.shape == single.shape == expected
    # One image is the pair of it with itself.
    torch.testing.assert_close(single, backbone(torch.cat([x1, x1], dim=1))[0], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(pair, single, atol=1e-2)


def test_samples_of_a_batch_do_not_mix():
    backbone = DeFusionViT(TINY_ARCH).eval()
    pairs = torch.rand(3, 6, 20, 24)
    torch.testing.assert_close(backbone(pairs)[0][1:2], backbone(pairs[1:2])[0], rtol=1e-4, atol=1e-5)


def test_swapping_the_images_swaps_the_unique_parts():
    backbone = DeFusionViT(TINY_ARCH).eval()
    x1, x2 = torch.rand(2, 2, 3, 32, 32)
    there, back = backbone.decompose(x1, x2), backbone.decompose(x2, x1)
    for name in ('unique', 'skip_unique'):
        first, second = getattr(there, name).chunk(2)
        torch.testing.assert_close(torch.cat([second, first]), getattr(back, name))


def test_out_types():
    x = torch.rand(1, 6, 32, 32)
    reference = DeFusionViT(TINY_ARCH, out_type='concat').eval()
    (maps,) = reference(x)
    common, unique1, unique2, fused = maps.chunk(4, dim=1)
    for out_type, expected in (('common', common), ('unique', unique1 + unique2), ('fused', fused)):
        backbone = DeFusionViT(TINY_ARCH, out_type=out_type).eval()
        backbone.load_state_dict(reference.state_dict())
        torch.testing.assert_close(backbone(x)[0], expected)
    tokens = reference.decompose(*x.split(3, dim=1))
    torch.testing.assert_close(to_map(tokens.common + tokens.skip_common, tokens.grid), common)


def test_checkpointing_repeats_the_forward_pass_and_changes_no_gradient():
    x = torch.rand(2, 6, 32, 32)
    gradients = []
    plain = DeFusionViT(TINY_ARCH).train()
    for with_cp in (False, True):
        backbone = DeFusionViT(TINY_ARCH, with_cp=with_cp).train()
        backbone.load_state_dict(plain.state_dict())
        calls = Counter()
        parts = (*backbone.blocks, backbone.decomposition, backbone.skip_decomposition, backbone.fusion)
        for part in parts:
            part.register_forward_pre_hook(lambda module, args, calls=calls: calls.update([module]))
        torch.manual_seed(1)
        backbone(x)[0].square().mean().backward()
        # What the backward pass needs is computed again instead of kept.
        assert [calls[part] for part in parts] == [1 + with_cp] * 5
        gradients.append([parameter.grad for parameter in backbone.parameters()])
    for left, right in zip(*gradients, strict=True):
        torch.testing.assert_close(left, right)


def test_normalises_with_imagenet_statistics():
    backbone = DeFusionViT(TINY_ARCH).eval()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    captured = []
    backbone.patch_embed.register_forward_pre_hook(lambda module, args: captured.append(args[0]))
    backbone.decompose(mean, mean + torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
    assert captured[0][0].abs().max() < 1e-6
    torch.testing.assert_close(captured[0][1], torch.ones(3, 16, 16))


def test_window_network_is_local():
    """Far from a change, nothing changes: what tiled fusion relies on."""
    model = MODELS.build(tiny_model_cfg()).eval()
    pair = torch.rand(1, 6, 16, 128)
    changed = pair.clone()
    changed[..., 120:] = 0
    before, after = model(pair).fused, model(changed).fused
    assert torch.equal(before[..., :64], after[..., :64])
    assert not torch.allclose(before[..., 112:], after[..., 112:], atol=1e-3)


def test_bad_input():
    with pytest.raises(ValueError, match=r'expects 3 channels \(one image\) or 6 channels \(two\).*\(1, 4, 8, 8\)'):
        DeFusionViT(TINY_ARCH)(torch.rand(1, 4, 8, 8))
    with pytest.raises(ValueError, match="out_type must be .* got 'all'"):
        DeFusionViT(TINY_ARCH, out_type='all')
    with pytest.raises(ValueError, match='num_sources must be .* got 3'):
        DeFusionViT(TINY_ARCH, num_sources=3)


@pytest.mark.parametrize(('num_sources', 'lost'), [(1, 6), (2, 3)])
def test_a_lost_source_is_told(num_sources, lost):
    backbone = DeFusionViT(TINY_ARCH, num_sources=num_sources)
    assert backbone(torch.rand(1, 3 * num_sources, 8, 8))[0].shape == (1, 16, 2, 2)
    with pytest.raises(
        ValueError, match=rf'expects {3 * num_sources} channels \(\w+ ?\w*\), got .*\(1, {lost}, 8, 8\)'
    ):
        backbone(torch.rand(1, lost, 8, 8))


@pytest.mark.parametrize(('mean', 'std'), [(0.0, 1 / 255), (0.45, 0.22)])
def test_an_image_normalised_by_the_stock_preprocessor(mean, std):
    with pytest.raises(ValueError, match=r'RGB in \[0, 1\].*got values from .* mean of 0 and an std of 255'):
        DeFusionViT(TINY_ARCH)((torch.linspace(0, 1, 192).view(1, 3, 8, 8) - mean) / std)
    # What photometric transforms make of an image is accepted.
    DeFusionViT(TINY_ARCH)(torch.linspace(-0.2, 1.7, 192).view(1, 3, 8, 8))


def frozen_names(backbone):
    return {name for name, parameter in backbone.named_parameters() if not parameter.requires_grad}


def test_nothing_is_frozen_by_default():
    backbone = DeFusionViT(TINY_ARCH)
    assert frozen_names(backbone) == set()
    assert all(module.training for module in backbone.train().modules())


@pytest.mark.parametrize('stages', range(5))
def test_frozen_stages(stages):
    """Stage k freezes what has a depth of k or less: patches, block 1, block 2, decomposition, fusion."""
    backbone = DeFusionViT(dict(TINY_ARCH, cross_dropout=0.5), frozen_stages=stages)
    names = [name for name, _ in backbone.named_parameters()]
    assert frozen_names(backbone) == {name for name in names if backbone.get_layer_depth(name)[0] <= stages}
    first = {name.split('.')[0] for name in frozen_names(backbone)}
    groups = [{'patch_embed'}, {'blocks', 'skip_norms'}, {'norm'}, {'decomposition', 'skip_decomposition'}, {'fusion'}]
    assert first == set().union(*groups[: stages + 1])
    backbone.eval()
    backbone.train()
    modes = {name: module.training for name, module in backbone.named_modules()}
    assert not modes['patch_embed.proj'] and modes['']
    assert modes['blocks.0.mlp'] == (stages < 1) and modes['blocks.1.attn'] == (stages < 2)
    assert modes['norm'] == (stages < 2)
    assert modes['decomposition.common'] == modes['skip_decomposition.residual.mlp'] == (stages < 3)
    assert modes['fusion.fuse'] == (stages < 4)


def test_the_stem_is_frozen_with_the_patches():
    backbone = DeFusionViT(dict(TINY_ARCH, detail_dims=4), frozen_stages=0).train()
    assert {name.split('.')[0] for name in frozen_names(backbone)} == {'patch_embed', 'stem', 'stem_embed'}
    assert not backbone.stem.training
    for name in frozen_names(backbone):
        assert backbone.get_layer_depth(name)[0] == 0


def test_the_stem_tells_tokens_what_patches_cannot():
    """The tokens' map is linear and the stem is not: of a negative and its photo it makes no opposite pair."""
    backbone = DeFusionViT(dict(TINY_ARCH, detail_dims=4)).eval()
    grid = TokenGrid.of_image(16, 16, 4, 4)
    image = torch.rand(1, 3, 16, 16)
    details = backbone.stem(image)
    assert [tuple(level.shape[1:]) for level in details] == [(4, 16, 16), (8, 8, 8), (12, 4, 4)]
    told = [backbone.encode(image, grid, levels)[1] for levels in ((), details)]
    assert not torch.allclose(*told)
    torch.nn.init.zeros_(backbone.stem_embed.weight)
    torch.testing.assert_close(backbone.encode(image, grid, details)[1], told[0])


def test_details_of_both_sources_along_the_channels():
    backbone = DeFusionViT(dict(TINY_ARCH, detail_dims=4), out_details=(1, 2)).eval()
    x = torch.rand(2, 6, 18, 12)  # 20 x 12 in whole patches
    full, half, features = backbone(x)
    assert [tuple(level.shape) for level in (full, half, features)] == [(2, 8, 20, 12), (2, 16, 10, 6), (2, 16, 5, 3)]
    padded = torch.cat([x, x[:, :, 16:17], x[:, :, 15:16]], dim=2)
    for index, source in enumerate(padded.split(3, dim=1)):
        source = normalize(source, backbone.mean, backbone.std)
        for level, expected in zip((full, half), backbone.stem(source), strict=False):
            torch.testing.assert_close(level.chunk(2, dim=1)[index], expected)
    same = backbone(x[:, :3])[0].chunk(2, dim=1)
    assert torch.equal(*same)  # one image stands for both


@pytest.mark.parametrize(('arch', 'strides'), [(dict(detail_dims=4), (8,)), (dict(detail_dims=4), (2, 1)), ({}, (2,))])
def test_details_that_the_stem_does_not_have(arch, strides):
    with pytest.raises(ValueError, match='out_details must be some of'):
        DeFusionViT(dict(TINY_ARCH, **arch), out_details=strides)


def test_everything_frozen_gives_the_features_of_evaluation():
    """No drop path, no dropout, no random order, and nothing for the backward pass."""
    sizes = dict(TINY_ARCH, cross_dropout=0.5)
    backbone = DeFusionViT(sizes, drop_path_rate=0.5, frozen_stages=4, with_cp=True)
    x = torch.rand(2, 6, 16, 16)
    (features,) = backbone.train()(x)
    assert not features.requires_grad
    assert torch.equal(features, backbone.eval()(x)[0])
    trained = DeFusionViT(sizes, drop_path_rate=0.5)
    trained.load_state_dict(backbone.state_dict())
    assert not torch.equal(trained.train()(x)[0], features)


def test_a_frozen_encoder_still_trains_the_rest():
    backbone = DeFusionViT(TINY_ARCH, frozen_stages=2, with_cp=True).train()
    backbone(torch.rand(2, 6, 16, 16))[0].square().mean().backward()
    for name, parameter in backbone.named_parameters():
        depth, _ = backbone.get_layer_depth(name)
        assert (parameter.grad is None) == (depth <= 2), name


@pytest.mark.parametrize('stages', [-2, 5])
def test_frozen_stages_out_of_range(stages):
    with pytest.raises(ValueError, match=rf'from -1 \(nothing\) to 4 \(everything.*2 blocks.*got {stages}'):
        DeFusionViT(TINY_ARCH, frozen_stages=stages)


def test_layer_depth():
    backbone = DeFusionViT(TINY_ARCH)
    expected = {
        'patch_embed.proj.weight': 0,
        'blocks.0.attn.qkv.bias': 1,
        'skip_norms.1.weight': 1,
        'blocks.1.norm1.weight': 2,
        'norm.bias': 2,
        'decomposition.common.qkv.weight': 3,
        'skip_decomposition.residual.mlp.fc1.weight': 3,
        'fusion.refine.0.attn.proj.weight': 4,
    }
    for name, depth in expected.items():
        assert backbone.get_layer_depth(name) == (depth, 6)
        assert backbone.get_layer_depth(f'backbone.{name}', prefix='backbone.') == (depth, 6)
    assert backbone.get_layer_depth('bbox_head.conv.weight', prefix='backbone.') == (5, 6)
    assert {backbone.get_layer_depth(name)[0] for name, _ in backbone.named_parameters()} == set(range(5))


def test_drop_path_grows_with_depth_and_spares_whole_samples():
    backbone = DeFusionViT(dict(TINY_ARCH, depth=5), drop_path_rate=0.4)
    assert [block.drop_path for block in backbone.blocks] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    block, x = backbone.blocks[4].train(), torch.rand(64, 4, 16)
    attention = block.attn(block.norm1(x), 1)
    torch.manual_seed(0)
    branch = block._residual(attention)
    kept = branch.abs().sum((1, 2)) > 0
    torch.testing.assert_close(branch[kept], attention[kept] / 0.6)
    assert 24 <= int(kept.sum()) <= 52
