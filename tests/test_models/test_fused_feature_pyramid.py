# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmdefusion.models import DeFusionViT, FusedFeaturePyramid
from mmdefusion.registry import MODELS
from mmdefusion.testing import TINY_ARCH


@pytest.mark.parametrize(
    ('in_stride', 'size', 'expected'),
    [
        (16, (5, 7), [(20, 28), (10, 14), (5, 7), (3, 4)]),
        (8, (5, 7), [(10, 14), (5, 7), (3, 4), (2, 2)]),
        (4, (5, 1), [(5, 1), (3, 1), (2, 1), (1, 1)]),
        (16, (1, 1), [(4, 4), (2, 2), (1, 1), (1, 1)]),
    ],
)
def test_sizes_of_the_levels(in_stride, size, expected):
    levels = FusedFeaturePyramid(8, in_stride)([torch.rand(2, 8, *size)])
    assert [tuple(level.shape) for level in levels] == [(2, 8, *shape) for shape in expected]


@pytest.mark.parametrize('size', [(64, 96), (37, 50), (3, 3)])
@pytest.mark.parametrize('patch_size', [8, 16])
def test_strides_behind_the_backbone(patch_size, size):
    backbone = DeFusionViT(dict(TINY_ARCH, patch_size=patch_size))
    levels = FusedFeaturePyramid(16, patch_size)(backbone(torch.rand(1, 6, *size)))
    for stride, level in zip((4, 8, 16, 32), levels, strict=True):
        # Levels finer than the map cover the image, up to a patch more than needed.
        whole = max(stride, patch_size)
        assert tuple(level.shape[2:]) == tuple(-(-side // whole) * whole // stride for side in size)


def test_each_level_is_made_of_the_map_alone():
    """Written out with plain functions from the neck's own weights."""
    neck, x = FusedFeaturePyramid(8), torch.randn(1, 8, 3, 4)
    fine, half, same, coarse = neck([x])

    def norm(values):
        mean = values.mean(dim=1, keepdim=True)
        return (values - mean) / (values.var(dim=1, unbiased=False, keepdim=True) + 1e-6).sqrt()

    def up(values, conv):
        return F.conv_transpose2d(values, conv.weight, conv.bias, stride=2)

    torch.testing.assert_close(same, norm(x))
    torch.testing.assert_close(coarse, norm(F.max_pool2d(x, 2, ceil_mode=True)))
    torch.testing.assert_close(half, norm(up(x, neck.levels[1][0])))
    torch.testing.assert_close(fine, norm(up(F.gelu(norm(up(x, neck.levels[0][0]))), neck.levels[0][3])))


def test_each_channel_is_scaled_on_its_own_first():
    x = torch.randn(2, 8, 6, 5) * 10.0 ** torch.arange(-4, 4).view(8, 1, 1) + 3
    neck = FusedFeaturePyramid(8, out_strides=(16,), norm_cfg=dict(type='BN'))
    seen = []
    neck.levels[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    neck([x])
    torch.testing.assert_close(seen[0].mean(dim=(0, 2, 3)), torch.zeros(8), rtol=0, atol=1e-2)
    # BN adds 1e-5 to the variance, which the quietest channels notice.
    torch.testing.assert_close(seen[0].std(dim=(0, 2, 3))[3:], torch.ones(5), rtol=0, atol=0.05)


def test_fewer_channels_in_every_level():
    """Places that are alike are alike in every level, so only the channels' own arithmetic is left."""
    neck, x = FusedFeaturePyramid(8, out_channels=6), torch.randn(1, 8, 1, 1).expand(1, 8, 4, 4)
    fine, half, same, coarse = neck([x])
    assert [level.size(1) for level in (fine, half, same, coarse)] == [6] * 4

    def norm(values):
        mean = values.mean(dim=1, keepdim=True)
        return (values - mean) / (values.var(dim=1, unbiased=False, keepdim=True) + 1e-6).sqrt()

    for level, conv in ((same, neck.levels[2][0]), (coarse, neck.levels[3][1])):
        expected = conv.weight[..., 0, 0] @ x[0, :, 0, 0] + conv.bias
        torch.testing.assert_close(level[:, :, :1, :1], norm(expected.view(1, 6, 1, 1)))
    up = neck.levels[1][0]
    corner = x[0, :, 0, 0] @ up.weight[..., 0, 1] + up.bias
    torch.testing.assert_close(half[:, :, :1, 1:2], norm(corner.view(1, 6, 1, 1)))


def test_init():
    neck = FusedFeaturePyramid(32)
    convs = [module for module in neck.modules() if isinstance(module, nn.ConvTranspose2d)]
    assert len(convs) == 3
    for conv in convs:
        bound = (6 / (2 * 4 * 32)) ** 0.5  # Glorot: fans of 4 * 32 each
        assert conv.weight.abs().max() <= bound
        assert conv.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
        assert conv.bias.abs().max() == 0


def test_gradients_reach_every_parameter():
    neck = FusedFeaturePyramid(8)
    sum(level.square().mul(torch.rand_like(level)).sum() for level in neck([torch.randn(2, 8, 4, 4)])).backward()
    for name, parameter in neck.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize('stride', [12, 0, 3])
def test_strides_that_cannot_be_reached(stride):
    with pytest.raises(ValueError, match=f'a stride of {stride} is not 16 times or divided by a power of two'):
        FusedFeaturePyramid(8, 16, out_strides=(4, stride))


def test_the_stems_features_are_added_to_the_level_of_their_stride():
    neck = FusedFeaturePyramid(8, out_strides=(4, 8, 16), out_channels=6, detail_channels=(5, 7))
    plain = FusedFeaturePyramid(8, out_strides=(4, 8, 16), out_channels=6)
    plain.load_state_dict({name: value for name, value in neck.state_dict().items() if 'details' not in name})
    fine, half, x = torch.rand(2, 5, 12, 16), torch.rand(2, 7, 6, 8), torch.randn(2, 8, 3, 4)
    before = []
    for norm in plain.norms:
        norm.register_forward_pre_hook(lambda module, inputs: before.append(inputs[0]))
    plain([x])
    for index, detail in enumerate((fine, half)):
        conv = neck.details[index][1]
        weight = conv.weight[..., 0, 0]
        before[index] = before[index] + torch.einsum('oc,nchw->nohw', weight, detail) + conv.bias.view(1, -1, 1, 1)
    expected = [F.layer_norm(level.movedim(1, -1), (6,), eps=1e-6).movedim(-1, 1) for level in before]
    for level, wanted in zip(neck([fine, half, x]), expected, strict=True):
        torch.testing.assert_close(level, wanted)


@pytest.mark.parametrize('size', [(64, 96), (37, 50), (3, 3)])
@pytest.mark.parametrize('channels', [3, 6])
def test_behind_a_backbone_with_a_stem(size, channels):
    backbone = DeFusionViT(dict(TINY_ARCH, patch_size=16, detail_dims=4), out_details=(4, 8))
    neck = FusedFeaturePyramid(16, detail_channels=(24, 32))
    rows, columns = (-(-side // 16) for side in size)
    levels = neck(backbone(torch.rand(1, channels, *size)))
    assert [tuple(level.shape[2:]) for level in levels[:3]] == [(rows * k, columns * k) for k in (4, 2, 1)]


@pytest.mark.parametrize(('given', 'expected'), [(1, 2), (3, 2)])
def test_number_of_maps(given, expected):
    with pytest.raises(ValueError, match=f'takes {expected} maps, got {given}'):
        FusedFeaturePyramid(8, detail_channels=(8,))([torch.rand(1, 8, 2, 2)] * given)


def test_features_of_the_stem_need_a_level():
    with pytest.raises(ValueError, match=r'detail_channels=\(8, 8, 8\) are more than the levels, 2'):
        FusedFeaturePyramid(8, out_strides=(4, 8), detail_channels=(8, 8, 8))


@pytest.mark.parametrize('host', ['mmdet', 'mmseg'])
def test_before_the_neck_of_a_host(host):
    models = pytest.importorskip(host)
    from mmengine.registry import init_default_scope

    init_default_scope(host)
    assert models
    neck = MODELS.build(
        [
            dict(type='mmdefusion.FusedFeaturePyramid', in_channels=16, in_stride=4, _scope_='mmdefusion'),
            dict(type=f'{host}.FPN', in_channels=[16] * 4, out_channels=8, num_outs=4),
        ]
    )
    sizes = [tuple(level.shape[1:]) for level in neck([torch.rand(1, 16, 9, 6)])]
    assert sizes == [(8, 9, 6), (8, 5, 3), (8, 3, 2), (8, 2, 1)]
