# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch

from mmdefusion.models import DeFusionDecoder, DeFusionViT
from mmdefusion.models.layers import TokenGrid, get_arch
from mmdefusion.models.necks import DetailDecoder, detail_decoder
from mmdefusion.models.necks.detail_decoder import _double, _laplacian_bands
from mmdefusion.registry import MODELS
from mmdefusion.testing import TINY_ARCH, tiny_model_cfg

ARCH = {**TINY_ARCH, 'detail_dims': 4}


def awake(decoder):
    """Gives the layers that start at zero something to say."""
    for layer in (
        *decoder.band_queries,
        decoder.pixel_query,
        decoder.residual,
        *(block.conv2 for block in decoder.refine),
    ):
        torch.nn.init.normal_(layer.weight, std=0.2)
    return decoder


@pytest.mark.parametrize('patch_size', [1, 4, 16])
def test_starts_as_the_mean_of_both_sources(patch_size):
    grid = TokenGrid.of_image(21, 34, patch_size, 4)
    decoder = DetailDecoder(get_arch({**ARCH, 'patch_size': patch_size}), 3)
    x1, x2 = torch.rand(2, 2, 3, 21, 34)
    torch.testing.assert_close(decoder(torch.randn(2, grid.num_tokens, 16), grid, x1, x2), (x1 + x2) / 2)


def test_exchanging_the_sources_changes_nothing():
    grid = TokenGrid.of_image(21, 34, 4, 4)
    decoder = awake(DetailDecoder(get_arch(ARCH), 3))
    x1, x2 = torch.rand(2, 1, 3, 21, 34)
    tokens = torch.randn(1, grid.num_tokens, 16)
    fused = decoder(tokens, grid, x1, x2)
    torch.testing.assert_close(decoder(tokens, grid, x2, x1), fused)
    assert (fused - (x1 + x2) / 2).abs().max() > 0.01


def test_the_query_chooses_between_the_sources():
    """With a query along the difference of the keys, the weight goes to the first source."""
    grid = TokenGrid.of_image(16, 16, 4, 4)
    decoder = DetailDecoder(get_arch(ARCH), 3)
    x1, x2 = torch.ones(1, 3, 16, 16), torch.zeros(1, 3, 16, 16)
    stem = decoder.stem.convs[0]
    with torch.no_grad():
        for conv in (stem[0], stem[2]):
            conv.weight.zero_()
            conv.weight[:, 0, 1, 1] = 1  # every key is the source's first channel, normalised, where that is positive
        decoder.pixel_query.bias.fill_(1.0)
        key1 = (1 - 0.485) / 0.229  # ImageNet's statistics of red; the second source's is negative and cut off
        fused = decoder(torch.zeros(1, grid.num_tokens, 16), grid, x1, x2)
    expected = 1 / (1 + torch.exp(torch.tensor(-4 * key1 / 4**0.5)))
    torch.testing.assert_close(fused, expected.expand_as(fused), rtol=1e-4, atol=1e-5)


def test_keeps_full_precision_under_autocast_and_detail_of_the_sources():
    backbone, decoder = DeFusionViT(ARCH).eval(), DeFusionDecoder(ARCH).eval()
    x1 = torch.rand(1, 3, 40, 24)
    with torch.autocast('cpu', torch.bfloat16):
        tokens = backbone.decompose(x1, x1)
        fused = decoder.decode_fused(backbone.fuse(tokens), tokens.grid, x1, x1)
    assert fused.dtype == torch.float32
    # Two equal sources come back exactly: what the tokens lose, the full-resolution path keeps.
    torch.testing.assert_close(fused, x1, rtol=0, atol=1e-6)


def test_gradients_reach_every_parameter_of_the_detail_path():
    model = MODELS.build(tiny_model_cfg(detail_dims=4)).train()
    awake(model.neck.fused.detail)
    x1, x2 = torch.rand(2, 2, 3, 32, 32)
    model.decode_fused(x1, x2).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in model.neck.fused.parameters())
    assert all(weight.grad.abs().sum() > 0 for weight in model.backbone.fusion.parameters())


def test_fused_alone_equals_fused_among_all_parts():
    model = MODELS.build(tiny_model_cfg(detail_dims=4)).eval()
    awake(model.neck.fused.detail)
    x1, x2 = torch.rand(2, 1, 3, 18, 30)
    torch.testing.assert_close(model.decode_fused(x1, x2), model.decode(x1, x2).fused)


def test_patch_size_must_be_a_power_of_two():
    with pytest.raises(ValueError, match='detail_dims needs a patch_size that is a power of two, got 6'):
        get_arch({**ARCH, 'patch_size': 6})


def test_the_bands_sum_up_to_the_image():
    image = torch.rand(1, 3, 32, 48)
    bands = _laplacian_bands(image, 3)
    assert [tuple(band.shape[-2:]) for band in bands] == [(32, 48), (16, 24), (8, 12), (4, 6)]
    total = bands[3]
    for level in (2, 1, 0):
        total = _double(total) + bands[level]
    torch.testing.assert_close(total, image)


def test_brightness_from_one_source_and_detail_from_both(monkeypatch):
    """Every coarse band asks for the first source, the finest for neither."""
    grid = TokenGrid.of_image(32, 32, 4, 4)
    decoder = DetailDecoder(get_arch(ARCH), 3)
    x1, x2 = torch.full((1, 3, 32, 32), 0.8), torch.full((1, 3, 32, 32), 0.3)
    x2[..., ::2] += 0.1  # stripes that only the second source has, finer than the coarser bands

    def preference(query, keys):
        # tanh(0.5493) is 0.5: the mean of both sources, and half of their difference, is the first source.
        return torch.full((1, 1, *query.shape[-2:]), 0.5493 if query.size(-1) < 32 else 0.0)

    monkeypatch.setattr(detail_decoder, '_preference', preference)
    fused = decoder(torch.zeros(1, grid.num_tokens, 16), grid, x1, x2)
    assert fused.mean().item() == pytest.approx(0.8, abs=1e-4)
    assert (fused[..., ::2].mean() - fused[..., 1::2].mean()).item() == pytest.approx(0.05, abs=1e-4)
