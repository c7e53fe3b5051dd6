# Copyright (c) mmdefusion authors. All rights reserved.
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmdefusion.models.layers import Block, CrossAttentionLayer, Linear, TokenGrid, attend, window_shift
from mmdefusion.models.layers.transformer import drop


def test_attention_by_hand():
    q = torch.tensor([[[[1.0, 0.0]]]])
    k = torch.tensor([[[[2.0, 0.0], [0.0, 5.0]]]])
    v = torch.tensor([[[[1.0, 10.0], [3.0, 30.0]]]])
    first = torch.sigmoid(torch.tensor(2 / 2**0.5))  # softmax of (2, 0) / sqrt(2)
    expected = first * v[0, 0, 0] + (1 - first) * v[0, 0, 1]
    torch.testing.assert_close(attend(q, k, v)[0, 0, 0], expected)


@pytest.mark.parametrize('length', [16, 300])
def test_both_kernels_equal_pytorch(length):
    q, k, v = torch.randn(3, 6, 2, length, 8)
    torch.testing.assert_close(attend(q, k, v), F.scaled_dot_product_attention(q, k, v), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float32, 1e-5), (torch.bfloat16, 0.03), (torch.float16, 4e-3)])
@pytest.mark.parametrize('size', [1.0, 3.5, 30.0])
def test_long_attention_without_gradients(dtype, tolerance, size):
    """Three heads of three blocks of queries; exponents that need no maximum subtracted, some near it, and too large.

    The scores of the last one differ by hundreds, so that one key takes all.
    """
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 1, 3, 1200, 8)
    q, k, v = (part.to(dtype) for part in (q * size, k, v))
    with torch.no_grad():
        result = attend(q, k, v)
    expected = F.scaled_dot_product_attention(q.double(), k.double(), v.double())
    # Scores of a low precision are rounded by a share of their size.
    assert (result - expected).abs().mean() < tolerance * size
    assert result.isfinite().all() and result.dtype == dtype


def test_exponents_that_are_bounded_stay_within_the_type():
    """All scores at the largest exponent without a maximum, and all at the smallest: weights are equal, no 0 / 0."""
    k = torch.full((1, 1, 500, 4), (59 / math.log2(math.e) / 4 * 2) ** 0.5)
    v = torch.randn(1, 1, 500, 4)
    for sign in (1, -1):
        with torch.no_grad():
            result = attend(sign * k, k, v)
        torch.testing.assert_close(result, v.mean(2, keepdim=True).expand_as(v), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('length', [16, 300])
def test_mask_belongs_to_the_window(length):
    q, k, v = torch.randn(3, 6, 2, length, 8)  # two samples of three windows
    mask = torch.rand(3, length, length) < 0.5
    mask |= torch.eye(length, dtype=torch.bool)
    result = attend(q, k, v, mask)
    for index in range(6):
        expected = F.scaled_dot_product_attention(q[index], k[index], v[index], attn_mask=mask[index % 3])
        torch.testing.assert_close(result[index], expected, rtol=1e-4, atol=1e-5)


def test_windows_do_not_see_each_other():
    block = Block(8, 2)
    tokens = torch.randn(1, 8, 8)
    alone = torch.cat([block(tokens[:, :4]), block(tokens[:, 4:])], dim=1)
    torch.testing.assert_close(block(tokens, num_windows=2), alone)


def test_shifted_block_mixes_windows_but_no_strangers():
    grid = TokenGrid(2, 4, 2, 2)
    shift = window_shift(grid, torch.device('cpu'))
    block = Block(8, 2).double()
    tokens = torch.randn(1, 8, 8, dtype=torch.double, requires_grad=True)
    # Token 1 is at row 0, column 1: its displaced window holds columns 1 and 2, tokens 1, 3, 4 and 6.
    block(tokens, 2, shift)[0, 1].sum().backward()
    assert tokens.grad[0].abs().sum(-1).gt(0).nonzero().flatten().tolist() == [1, 3, 4, 6]
    tokens.grad = None
    # Token 0 is at column 0, alone with the token below in its part of the wrapped window.
    block(tokens, 2, shift)[0, 0].sum().backward()
    assert tokens.grad[0].abs().sum(-1).gt(0).nonzero().flatten().tolist() == [0, 2]


def test_block_equals_pytorchs_pre_norm_encoder_layer():
    block = Block(16, 4)
    reference = nn.TransformerEncoderLayer(
        16, 4, 64, dropout=0.0, activation='gelu', layer_norm_eps=1e-6, batch_first=True, norm_first=True
    )
    state = block.state_dict()
    renamed = {
        'self_attn.in_proj_weight': state['attn.qkv.weight'],
        'self_attn.in_proj_bias': state['attn.qkv.bias'],
        'self_attn.out_proj.weight': state['attn.proj.weight'],
        'self_attn.out_proj.bias': state['attn.proj.bias'],
        'linear1.weight': state['mlp.fc1.weight'],
        'linear1.bias': state['mlp.fc1.bias'],
        'linear2.weight': state['mlp.fc2.weight'],
        'linear2.bias': state['mlp.fc2.bias'],
        **{key: state[key] for key in ('norm1.weight', 'norm1.bias', 'norm2.weight', 'norm2.bias')},
    }
    reference.load_state_dict(renamed)
    tokens = torch.randn(2, 10, 16)
    torch.testing.assert_close(block(tokens), reference(tokens), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('task', ['common', 'unique', 'fuse'])
def test_task_indicator_chooses_the_keys(task):
    layer = CrossAttentionLayer(16, 4, task, dropout=0.0)
    a, b = torch.randn(2, 2, 6, 16)
    attention = nn.MultiheadAttention(16, 4, batch_first=True)
    state = layer.state_dict()
    weight, bias = state['qkv.weight'].clone(), state['qkv.bias'].clone()
    if task == 'common':  # rows are query and key of b, value of a
        keys = b
    else:  # rows are query of b, key and value of a
        keys = a
    attention.load_state_dict(
        {
            'in_proj_weight': weight,
            'in_proj_bias': bias,
            'out_proj.weight': state['proj.weight'],
            'out_proj.bias': state['proj.bias'],
        }
    )
    y = F.layer_norm(b + attention(b, keys, a)[0], (16,))
    expected = F.layer_norm(y + layer.mlp(y), (16,))
    torch.testing.assert_close(layer(a, b), expected, rtol=1e-4, atol=1e-5)


def test_several_questions_to_one_set_of_values():
    layer = CrossAttentionLayer(16, 4, 'fuse', dropout=0.0)
    a, b1, b2 = torch.randn(3, 2, 6, 16)
    expected = torch.cat([layer(a, b1), layer(a, b2)])
    torch.testing.assert_close(layer(a, torch.cat([b1, b2])), expected)


def test_drop_path_keeps_the_mean_and_drops_whole_samples():
    block = Block(8, 2, drop_path=0.5).train()
    ones = torch.ones(2000, 1, 1)
    torch.manual_seed(0)
    kept = block._residual(ones)
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert abs(kept.mean().item() - 1) < 0.1
    assert torch.equal(block.eval()._residual(ones), ones)


def test_bad_arguments():
    with pytest.raises(ValueError, match="task must be .* got 'both'"):
        CrossAttentionLayer(16, 4, 'both')
    with pytest.raises(ValueError, match='5 heads do not divide a width of 16'):
        CrossAttentionLayer(16, 5, 'fuse')


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_dropout_zeroes_its_share_and_scales_the_rest(dtype):
    torch.manual_seed(0)
    x = torch.ones(3, 501, 667, dtype=dtype, requires_grad=True)  # an odd number of elements
    y = drop(x, 0.1)
    assert set(y.unique().tolist()) == {0.0, (torch.ones((), dtype=dtype) / 0.9).item()}
    # Standard deviation of the share: 0.0003.
    assert (y == 0).float().mean().item() == pytest.approx(0.1, abs=0.0015)
    for half in (y[..., ::2], y[..., 1::2]):
        assert (half == 0).float().mean().item() == pytest.approx(0.1, abs=0.002)
    y.backward(torch.ones_like(y))
    assert torch.equal(x.grad, y)
    assert torch.equal(drop(x, 0.0), x)
    torch.manual_seed(0)
    assert torch.equal(drop(x, 0.1), y)


def test_softmax_of_bfloat16_scores_stays_close_to_that_of_float32():
    q, k, v = torch.randn(3, 2, 2, 196, 12)
    expected = F.scaled_dot_product_attention(q, k, v)
    with torch.autocast('cpu', torch.bfloat16):
        result = attend(q, k, v)
    assert (result - expected).abs().max() < 0.05
    assert (result - expected).abs().mean() < 0.005


@pytest.mark.parametrize('shape', [(1, 1, 8), (2, 7, 8), (3, 50, 8)])
def test_a_linear_map_without_gradients_is_that_with_them(shape):
    """In bfloat16 on a CPU another kernel makes it; contiguous and not, with float32 weights under autocast."""
    layer = Linear(8, 5)
    nn.init.normal_(layer.bias)
    for x in (torch.randn(shape).bfloat16(), torch.randn(*shape[:2], 24).bfloat16()[..., 8:16]):
        with torch.autocast('cpu', torch.bfloat16):
            expected = layer(x)
            with torch.no_grad():
                result = layer(x)
        assert result.shape == (*shape[:2], 5) and result.dtype == torch.bfloat16
        torch.testing.assert_close(result, expected.detach(), rtol=2**-7, atol=2**-7)
