# Copyright (c) mmdefusion authors. All rights reserved.
import numpy as np
import pytest
import torch
from scipy.fft import dctn

from mmdefusion.models.layers.init import cosine_code
from mmdefusion.registry import MODELS


def test_code_is_the_cosine_transform_of_opponent_colours():
    encoder, _ = cosine_code(patch_size=4, channels=3, dims=64)
    patch = np.random.default_rng(0).random((3, 4, 4))
    luma = dctn(patch.sum(0) / 3**0.5, norm='ortho')
    # The mean comes first, at the last dimension of the first quarter; its scale is 0.15 (1 + 0).
    code = encoder @ torch.from_numpy(patch).float().flatten()
    assert code[15].item() == pytest.approx(0.15 * luma[0, 0], rel=1e-5)
    # Frequency 1 along the columns or along the rows comes next, in the other quarters.
    expected = sorted([0.3 * luma[0, 1], 0.3 * luma[1, 0]])
    assert sorted(code[[31, 47]].tolist()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(('patch_size', 'channels', 'dims'), [(4, 3, 48), (4, 3, 64), (2, 1, 8)])
def test_decoder_undoes_the_encoder(patch_size, channels, dims):
    encoder, decoder = cosine_code(patch_size, channels, dims)
    torch.testing.assert_close(decoder @ encoder, torch.eye(channels * patch_size**2), rtol=1e-4, atol=1e-5)


def test_too_few_dimensions_keep_the_low_frequencies():
    encoder, decoder = cosine_code(8, 3, 16)
    ramp = torch.linspace(0, 1, 8).expand(3, 8, 8).flatten()
    checks = (torch.arange(8)[:, None] + torch.arange(8)).remainder(2).float().expand(3, 8, 8).flatten()
    assert (decoder @ encoder @ ramp - ramp).square().mean() < 1e-3
    assert (decoder @ encoder @ checks - checks).square().mean() > 0.1


@pytest.mark.parametrize('arch', ['tiny', 'nano'])
def test_an_untrained_network_is_a_rough_autoencoder(arch):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='DeFusionPP',
            backbone=dict(type='DeFusionViT', arch=arch),
            neck=dict(type='DeFusionDecoder', arch=arch),
        )
    )
    model.init_weights()
    model.eval()
    coarse = torch.rand(1, 3, 12, 12)
    photo = torch.nn.functional.interpolate(coarse, size=(128, 128), mode='bicubic').clamp(0, 1)
    with torch.no_grad():
        fused = model.decode(photo, photo).fused
    assert -10 * torch.log10((fused - photo).square().mean()) > 16  # dB; a constant image has about 13
    deviation = (photo - photo.mean(dim=(2, 3), keepdim=True)).square().mean()
    assert (fused - photo).square().mean() < deviation / 2
