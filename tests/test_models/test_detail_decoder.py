# Copyright (c) mmdefusion authors. All rights reserved.
import math

import pytest
import torch

from mmdefusion.models import DeFusionDecoder, DeFusionViT
from mmdefusion.models.layers import (
    DetailStem,
    Gradient,
    TokenGrid,
    forward_gradient,
    get_arch,
    missing_divergence,
    solve_screened_poisson,
    strips,
)
from mmdefusion.models.necks import DetailDecoder, detail_decoder
from mmdefusion.registry import MODELS
from mmdefusion.testing import TINY_ARCH, tiny_model_cfg

ARCH = {**TINY_ARCH, 'detail_dims': 4}


def awake(decoder):
    """Gives the layers that start at zero something to say."""
    for layer in (decoder.base_query, decoder.gradient_query, decoder.amplification, decoder.restoration):
        torch.nn.init.normal_(layer.weight, std=0.2)
    # Six in a row: with larger ones the amplification, an exponential, leaves all bounds.
    for block in (*decoder.refine, *decoder.deepen):
        torch.nn.init.normal_(block.conv.weight, std=0.1)
    return decoder


def detail_path(patch_size=4):
    arch = get_arch({**ARCH, 'patch_size': patch_size})
    return DetailStem(arch, 3), DetailDecoder(arch, 3)


def decode(path, x1, x2, tokens=None, **options):
    """The fused image of sources whose sides are whole patches."""
    stem, decoder = path
    grid = TokenGrid.of_image(*x1.shape[-2:], decoder.patch_size, 4)
    if tokens is None:
        tokens = torch.zeros(len(x1), grid.num_tokens, 16)
    return decoder(tokens, grid, stem(torch.cat([x1, x2])), x1, x2, **options)


def test_the_stem_halves_the_resolution_level_by_level():
    stem, _ = detail_path(patch_size=16)
    with torch.no_grad():
        for conv in stem.convs:
            conv.weight.zero_()
            conv.weight[:, 0, 1, 1] = 2  # twice the first channel, at every other pixel from the first on
    image = torch.randn(2, 3, 32, 48)
    levels = stem(image)
    assert [tuple(level.shape[1:]) for level in levels] == [(4, 32, 48), (8, 16, 24), (12, 8, 12), (16, 4, 6)]
    red = image[:, 0].relu()
    for index, level in enumerate(levels):
        expected = 2 ** (index + 1) * red[:, None, :: 2**index, :: 2**index]
        torch.testing.assert_close(level, expected.expand_as(level), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('patch_size', [2, 4, 16])
def test_starts_with_the_stronger_detail_and_leans_to_the_brighter_source(patch_size):
    path = detail_path(patch_size)
    x1, x2 = torch.full((2, 3, 32, 48), 0.2), torch.full((2, 3, 32, 48), 0.6)
    x1[..., 24:, ::2] += 0.1  # stripes that only the first source has
    x2[..., :24, ::2] += 0.2  # and only the second
    fused = decode(path, x1, x2)
    # Far more than ten gray levels brighter: 2 tanh(0.3) of the way from the mean to the second source.
    mean, half_difference = (0.2125 + 0.675) / 2, (0.675 - 0.2125) / 2
    assert fused.mean().item() == pytest.approx(mean + 2 * math.tanh(0.3) * half_difference, abs=1e-4)
    # Energies of both differ by far: the detail of either is there in full. Rows in between see both.
    assert (fused[..., 28:, ::2] - fused[..., 28:, 1::2]).mean().item() == pytest.approx(0.1, abs=0.002)
    assert (fused[..., :20, ::2] - fused[..., :20, 1::2]).mean().item() == pytest.approx(0.2, abs=0.002)


def test_two_equal_sources_come_back():
    image = torch.rand(2, 3, 20, 36)
    torch.testing.assert_close(decode(detail_path(), image, image), image)


def test_exchanging_the_sources_changes_nothing():
    stem, decoder = detail_path()
    path = stem, awake(decoder)
    x1, x2 = torch.rand(2, 1, 3, 20, 36)
    tokens = torch.randn(1, TokenGrid.of_image(20, 36, 4, 4).num_tokens, 16)
    fused = decode(path, x1, x2, tokens)
    torch.testing.assert_close(decode(path, x2, x1, tokens), fused)
    assert (fused - (x1 + x2) / 2).abs().max() > 0.01


def test_the_base_query_asks_for_a_sources_brightness():
    """With a query along the keys, which here are each source's red, the weight is as by hand."""
    stem, decoder = detail_path(patch_size=2)
    x1, x2 = torch.full((1, 3, 16, 16), 0.7), torch.zeros(1, 3, 16, 16)
    with torch.no_grad():
        for conv in stem.convs:
            conv.weight.zero_()
            conv.weight[:, 0, 1, 1] = 1  # every key is the source's first channel
        decoder.base_query.bias.fill_(0.05)
    # The first one is the brighter: 0.3 for it.
    expected = 0.35 + math.tanh(8 * 0.05 * 0.7 / 8**0.5 + 0.3) * 0.7
    torch.testing.assert_close(decode((stem, decoder), x1, x2), torch.full_like(x1, expected), rtol=1e-4, atol=1e-5)


def test_brightness_changes_only_where_a_source_does():
    """In predictions, for a query that follows the first source in the left half and the second in the right one."""
    decoder = detail_path(patch_size=16)[1].eval()
    decoder.brightness_scale.data.zero_()
    asked = torch.full((1, 1, 5, 64), math.atanh(0.5))
    asked[..., 32:] *= -1
    x1, flat = torch.full((1, 3, 5, 64), 0.8), torch.full((1, 3, 5, 64), 0.2)
    stepping = flat.clone()
    stepping[..., 32:] = 0.6
    # Half the difference each way; windows of 17 reach 16 cells to either side.
    for x2, right in ((flat, 0.3), (stepping, 0.1)):
        leaning = decoder._leaning(x1, x2, asked)[0, 0, 2]
        torch.testing.assert_close(leaning[:16], torch.full((16,), 0.3))
        torch.testing.assert_close(leaning[-16:], torch.full((16,), -right))
        largest = -leaning.diff().min().item()
        if x2 is flat:
            assert largest == pytest.approx(0.6 / 17, rel=1e-4)
        else:
            # A step of .4 is far more than eight gray levels.
            assert largest == pytest.approx(0.4, abs=0.02)
    torch.testing.assert_close(decoder.train()._leaning(x1, flat, asked), asked.tanh() * 0.6 * torch.ones(3, 1, 1))


def test_the_gradient_query_outvotes_the_stronger_detail(monkeypatch):
    x1, x2 = torch.full((2, 1, 3, 32, 32), 0.5)
    x1[..., ::2] += 0.05
    x2[..., ::2, :] += 0.2

    # The base is asked first, then the gradient: the mean of both, and all of the first.
    answers = iter([0.0, 99.0])
    monkeypatch.setattr(detail_decoder, '_preference', lambda query, keys: torch.full_like(query[:, :1], next(answers)))
    fused = decode(detail_path(patch_size=2), x1, x2)
    assert (fused[..., ::2] - fused[..., 1::2]).mean().item() == pytest.approx(0.05, abs=0.002)
    assert (fused[..., ::2, :] - fused[..., 1::2, :]).mean().item() == pytest.approx(0, abs=0.01)


def test_amplification():
    """The gradient is e^(0.1 b) times the sources'."""
    stem, decoder = detail_path()
    image = torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        decoder.amplification.bias.fill_(2)
    gradient = Gradient(*(math.exp(0.2) * part for part in forward_gradient(image)))
    expected = image - solve_screened_poisson(missing_divergence(gradient, image), 16**-2)
    torch.testing.assert_close(decode((stem, decoder), image, image), expected, rtol=0, atol=1e-5)


def test_restoration_is_for_views_of_photos():
    """A tenth of its bias is added to them, and nothing to pairs."""
    stem, decoder = detail_path()
    image = torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        decoder.restoration.bias.copy_(torch.tensor([1.0, 0.0, -2.0]))
    pair = decode((stem, decoder), image, image)
    torch.testing.assert_close(pair, image, rtol=0, atol=1e-5)
    expected = image + torch.tensor([0.1, 0, -0.2]).view(3, 1, 1)
    torch.testing.assert_close(decode((stem, decoder), image, image, restore=True), expected, rtol=0, atol=1e-5)

    backbone, neck = DeFusionViT(ARCH).eval(), DeFusionDecoder(ARCH).eval()
    neck.fused.detail.restoration.bias.data.fill_(1)
    tokens = backbone.decompose(image, image)
    fused = backbone.fuse(tokens)
    ids = torch.arange(2)[None]
    restored = neck(tokens, fused, image, image, fused[:, :2], ids).fused
    torch.testing.assert_close(restored, neck(tokens, fused, image, image).fused + 0.1)


def test_the_maximum_passes_gradients_to_the_larger_one():
    x1 = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x2 = torch.tensor([2.0, 2.0, 1.0], requires_grad=True)
    larger = detail_decoder._Maximum.apply(x1, x2)
    assert larger.tolist() == [2, 2, 3]
    larger.backward(torch.tensor([10.0, 20.0, 30.0]))
    assert (x1.grad.tolist(), x2.grad.tolist()) == ([0, 0, 30], [10, 20, 0])


@pytest.mark.parametrize('gradients', [False, True])
def test_gray_sources_give_a_gray_image(gradients):
    """Where gradients are off one plane stands for three; the last bits of one channel make little difference."""
    torch.manual_seed(0)
    model = MODELS.build(tiny_model_cfg(detail_dims=4)).eval()
    awake(model.neck.fused.detail)
    x1, x2 = torch.rand(2, 1, 1, 24, 32).expand(-1, -1, 3, -1, -1)
    with torch.set_grad_enabled(gradients):
        gray = model.decode_fused(x1, x2)
        coloured = model.decode_fused(x1 + torch.tensor([1e-6, 0, 0]).view(3, 1, 1), x2)
    assert gray.shape == (1, 3, 24, 32) and torch.equal(gray[:, :1].expand(-1, 3, -1, -1), gray)
    # Random weights may amplify the last bits a thousand times.
    torch.testing.assert_close(coloured, gray, rtol=1e-3, atol=1e-3)


def test_strips_of_a_large_image_give_what_the_whole_gives(monkeypatch):
    model = MODELS.build(tiny_model_cfg(detail_dims=4)).eval()
    awake(model.neck.fused.detail)
    x1, x2 = torch.rand(2, 1, 3, 96, 40)
    with torch.no_grad():
        whole = model.decode_fused(x1, x2)
        monkeypatch.setattr(strips, '_STRIP_PIXELS', 16 * 40)
        torch.testing.assert_close(model.decode_fused(x1, x2), whole)


def test_keeps_full_precision_under_autocast_and_detail_of_the_sources():
    backbone, decoder = DeFusionViT(ARCH).eval(), DeFusionDecoder(ARCH).eval()
    x1 = torch.rand(1, 3, 40, 24)
    with torch.autocast('cpu', torch.bfloat16):
        tokens = backbone.decompose(x1, x1)
        fused = decoder.decode_fused(backbone.fuse(tokens), tokens, x1, x1)
    assert fused.dtype == torch.float32
    # Two equal sources come back exactly: what the tokens lose, the full-resolution path keeps.
    torch.testing.assert_close(fused, x1, rtol=0, atol=1e-6)


def test_gradients_reach_every_parameter_of_the_detail_path():
    model = MODELS.build(tiny_model_cfg(detail_dims=4)).train()
    awake(model.neck.fused.detail)
    x1, x2 = torch.rand(2, 2, 3, 32, 32)
    tokens = model.backbone.decompose(x1, x2)
    fused = model.backbone.fuse(tokens)
    model.neck.decode_fused(fused, tokens, x1, x2, restore=True).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in model.neck.fused.parameters())
    assert all(weight.grad.abs().sum() > 0 for weight in model.backbone.fusion.parameters())
    assert all(weight.grad.abs().sum() > 0 for weight in model.backbone.stem.parameters())


def test_fused_alone_equals_fused_among_all_parts():
    model = MODELS.build(tiny_model_cfg(detail_dims=4)).eval()
    awake(model.neck.fused.detail)
    x1, x2 = torch.rand(2, 1, 3, 18, 30)
    torch.testing.assert_close(model.decode_fused(x1, x2), model.decode(x1, x2).fused)


@pytest.mark.parametrize('patch_size', [1, 6])
def test_patch_size_must_be_a_power_of_two(patch_size):
    with pytest.raises(ValueError, match=f'a patch_size that is a power of two from 2 on, got {patch_size}'):
        get_arch({**ARCH, 'patch_size': patch_size})


def test_up_convolution_is_a_convolution_and_a_pixel_shuffle():
    up = detail_decoder.UpConv(6, 3)
    torch.nn.init.normal_(up[0].bias)
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(2, 6, 4, 5).contiguous(memory_format=layout)
        torch.testing.assert_close(up(x), torch.nn.functional.pixel_shuffle(up[0](x), 2))
    assert [name for name, _ in up.named_parameters()] == ['0.weight', '0.bias']
