# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch
from torch import nn

from mmdefusion.models import MCUDHead
from mmdefusion.models.layers import CommonUniqueDecomposition, DecomposedTokens, TokenGrid, get_arch, patchify
from mmdefusion.structures import FusionDataSample
from mmdefusion.testing import TINY_ARCH


def make_head(teacher_dims=(16, 16), **kwargs):
    head = MCUDHead(arch=TINY_ARCH, teacher_dims=teacher_dims, **kwargs)
    for pred, width in zip(head.preds, teacher_dims, strict=True):
        pred.weight.data.copy_(torch.eye(width, 16))
    return head


def make_tokens(generator=None):
    """Tokens of one pair of 2x3 patches, the common ones in both orders."""
    parts = [torch.randn(2, 6, 16, generator=generator) for _ in range(4)]
    return DecomposedTokens(*parts, TokenGrid(2, 3, 2, 3), (8, 12))


def layer_norm(x, eps=1e-5):
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + eps).sqrt()


def test_losses_by_hand():
    head = make_head()
    # Tokens of which the normalised values are known: half the channels 1, half -1.
    sign = torch.tensor([1.0, -1.0]).repeat(8)
    ones = sign.expand(1, 6, 16)
    zeros = torch.zeros(1, 6, 16)
    # The deep and the skip stream add up: C12 = 3 sign, C21 = -2 sign, U1 = 4 sign, U2 = 0.
    tokens = DecomposedTokens(
        torch.cat([2 * ones, -2 * ones]),
        torch.cat([3 * ones, zeros]),
        torch.cat([ones, zeros]),
        torch.cat([ones, zeros]),
        TokenGrid(2, 3, 2, 3),
        (8, 12),
    )
    # The first prediction is 1 + 1 = 2 sign, the second 0 - 1 = -1 sign; the class token counts for nothing.
    target1 = torch.cat([torch.full((1, 1, 16), 99.0), 2.5 * ones], dim=1)
    target2 = torch.cat([torch.full((1, 1, 16), 99.0), 2 * ones], dim=1)
    losses = head.loss(tokens, [target1, target2])
    expected = dict(loss_mcud_source1=0.5, loss_mcud_source2=3.0, loss_mcud_consistency=2.0)
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(expected, rel=1e-4)
    weighted = make_head(source1_weight=2, source2_weight=10, consistency_weight=0.5).loss(tokens, [target1, target2])
    expected = dict(loss_mcud_source1=1.0, loss_mcud_source2=30.0, loss_mcud_consistency=1.0)
    assert {name: value.item() for name, value in weighted.items()} == pytest.approx(expected, rel=1e-4)


def test_formula_with_affine_norms_and_other_widths():
    generator = torch.Generator().manual_seed(0)
    tokens = make_tokens(generator=generator)
    head = MCUDHead(arch=TINY_ARCH, teacher_dims=(5, 9))
    for norm in head.norms:
        nn.init.normal_(norm.weight, generator=generator)
        nn.init.normal_(norm.bias, generator=generator)
    for pred in head.preds:
        nn.init.normal_(pred.weight, generator=generator)
        nn.init.normal_(pred.bias, generator=generator)
    targets = [torch.randn(1, 7, width, generator=generator) for width in (5, 9)]
    losses = head.loss(tokens, targets)
    common, unique = tokens.common + tokens.skip_common, tokens.unique + tokens.skip_unique
    for index in range(2):
        norm, pred = head.norms[index], head.preds[index]
        summed = layer_norm(unique[index]) * norm.weight + norm.bias + layer_norm(common[index])
        expected = (summed @ pred.weight.T + pred.bias - targets[index][0, 1:]).abs().mean()
        torch.testing.assert_close(losses[f'loss_mcud_source{index + 1}'], expected)
    expected = (layer_norm(common[0]) - layer_norm(common[1])).abs().mean()
    torch.testing.assert_close(losses['loss_mcud_consistency'], expected)


def test_tokens_meet_the_teachers_token_of_the_same_place_and_padding_is_left_out():
    # 3 x 5 patches in windows of 4 x 4: the grid is padded to 4 x 8 tokens.
    grid, image_size = TokenGrid(4, 8, 4, 4), (12, 20)
    place = torch.arange(4.0)[:, None] * 100 + torch.arange(8.0)
    tokens = patchify(place[None, None], grid, 1)  # (1, L, 1) in the order of windows
    head = make_head()
    parts = torch.zeros(2, grid.num_tokens, 16)
    parts[:, :, 0] = tokens[..., 0]
    zeros = torch.zeros_like(parts)
    rows = head._in_rows(parts, DecomposedTokens(zeros, parts, zeros, zeros, grid, image_size))
    assert torch.equal(rows[0][0, :, 0], place[:3, :5].flatten())


def test_no_consistency_is_no_term():
    head = make_head(consistency_weight=0.0)
    losses = head.loss(make_tokens(), [torch.zeros(1, 7, 16)] * 2)
    assert sorted(losses) == ['loss_mcud_source1', 'loss_mcud_source2']


def test_exchanging_sources_and_teachers_exchanges_losses():
    head, tokens = make_head(), make_tokens()
    targets = [torch.randn(1, 7, 16) for _ in range(2)]
    losses = head.loss(tokens, targets)
    swapped = head.loss(tokens._replace(**{k: getattr(tokens, k).flip(0) for k in tokens._fields[:4]}), targets[::-1])
    torch.testing.assert_close(losses['loss_mcud_source1'], swapped['loss_mcud_source2'])
    torch.testing.assert_close(losses['loss_mcud_source2'], swapped['loss_mcud_source1'])
    torch.testing.assert_close(losses['loss_mcud_consistency'], swapped['loss_mcud_consistency'])


def test_a_teacher_that_does_not_fit():
    with pytest.raises(ValueError, match=r'teacher 2 gives patch tokens of shape \(1, 6, 12\); expected \(1, 6, 16\)'):
        make_head().loss(make_tokens(), [torch.zeros(1, 7, 16), torch.zeros(1, 7, 12)])


def test_kinds():
    samples = [FusionDataSample(metainfo=dict(kind='infrared_visible')) for _ in range(2)]
    assert make_head().takes(samples) and make_head().takes([FusionDataSample()])
    assert make_head(kinds=['infrared_visible']).takes(samples)
    assert not make_head(kinds=['mri_pet']).takes(samples)
    assert not make_head(kinds=['infrared_visible']).takes([FusionDataSample()])


def test_both_orders_of_the_common_layer():
    decomposition = CommonUniqueDecomposition(get_arch(TINY_ARCH)).train()
    features = torch.randn(4, 16, 16)
    common, unique = decomposition(features, 1, both_orders=True)
    swapped, _ = decomposition(features.roll(2, 0), 1, both_orders=True)
    torch.testing.assert_close(common, swapped.roll(2, 0))
    decomposition.eval()
    one_order, same_unique = decomposition(features, 1)
    torch.testing.assert_close(common[:2], one_order)
    torch.testing.assert_close(unique, same_unique)
    assert not torch.allclose(common[:2], common[2:])


def test_predictions_that_have_learned_nothing_teach_the_tokens_nothing():
    tokens = make_tokens()
    tokens.unique.requires_grad_()
    head = MCUDHead(arch=TINY_ARCH, teacher_dims=(5, 9), consistency_weight=0)
    losses = head.loss(tokens, [torch.ones(1, 7, 5), torch.full((1, 7, 9), 3.0)])
    assert {name: loss.item() for name, loss in losses.items()} == dict(loss_mcud_source1=1.0, loss_mcud_source2=3.0)
    sum(losses.values()).backward()
    assert tokens.unique.grad.abs().max() == 0
    assert all(pred.bias.grad.abs().min() > 0 for pred in head.preds)
