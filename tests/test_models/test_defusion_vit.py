# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch

from mmdefusion.models import DeFusionViT
from mmdefusion.models.layers import to_map
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


def test_checkpointing_changes_no_gradient():
    x = torch.rand(2, 6, 32, 32)
    gradients = []
    plain = DeFusionViT(TINY_ARCH).train()
    for with_cp in (False, True):
        backbone = DeFusionViT(TINY_ARCH, with_cp=with_cp).train()
        backbone.load_state_dict(plain.state_dict())
        torch.manual_seed(1)
        backbone(x)[0].square().mean().backward()
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
    with pytest.raises(ValueError, match=r'expects 3 channels \(one image\) or 6 \(two\).*\(1, 4, 8, 8\)'):
        DeFusionViT(TINY_ARCH)(torch.rand(1, 4, 8, 8))
    with pytest.raises(ValueError, match="out_type must be .* got 'all'"):
        DeFusionViT(TINY_ARCH, out_type='all')
