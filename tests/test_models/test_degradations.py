# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch

from mmdefusion.models import CUDTargetGenerator
from mmdefusion.models.target_generators import degradations
from mmdefusion.models.target_generators.degradations import (
    BLUR_SIGMA,
    EXPOSURE_GAIN,
    blur,
    contrast,
    exposure,
    noise,
)


def test_noise_is_a_clamped_half_normal():
    drawn = noise(torch.zeros(1, 1, 400, 400))
    assert drawn.min() >= 0 and drawn.max() == 1
    # P(|N(0, 1)| >= 1) = 0.3173, and E[min(|N|, 1)] = 2 (phi(0) - phi(1)) + 0.3173 = 0.6312.
    assert (drawn == 1).float().mean() == pytest.approx(0.3173, abs=0.006)
    assert drawn.mean() == pytest.approx(0.6312, abs=0.005)


def test_blur_spreads_a_point_by_its_sigma_and_keeps_its_sum():
    torch.manual_seed(0)
    point = torch.zeros(8, 3, 65, 65)
    point[:, :, 32, 32] = 1
    spread = blur(point)
    torch.testing.assert_close(spread.sum(dim=(2, 3)), torch.ones(8, 3))
    offset = torch.arange(65.0) - 32
    sigma = ((spread.sum(2) * offset**2).sum(-1)).sqrt()
    assert (sigma >= BLUR_SIGMA[0] - 0.1).all() and (sigma <= BLUR_SIGMA[1]).all()
    assert sigma[:, 0].unique().numel() == 8  # each photo its own
    torch.testing.assert_close(sigma[:, 0], sigma[:, 2])  # all channels alike


def test_blur_leaves_flat_photos_alone_even_small_ones():
    flat = torch.full((2, 3, 5, 9), 0.3)
    torch.testing.assert_close(blur(flat), flat)


def test_exposure_is_a_gain_with_saturation():
    torch.manual_seed(0)
    photos = torch.full((200, 3, 2, 2), 0.3)
    exposed = exposure(photos)[:, 0, 0, 0]
    under = exposed < 0.3
    assert 60 < under.sum() < 140
    low, high = EXPOSURE_GAIN
    assert (exposed[under] >= 0.3 * low - 1e-6).all() and (exposed[under] <= 0.3 * high + 1e-6).all()
    assert (exposed[~under] >= 0.3 / high - 1e-6).all() and (exposed[~under] <= 1).all()
    assert (exposed == 1).any()


def test_contrast_weakens_bands(monkeypatch):
    photos = torch.rand(3, 3, 37, 50)

    def with_gain(low, high):
        monkeypatch.setattr(degradations, 'CONTRAST_GAIN', (low, high))
        return contrast(photos)

    torch.testing.assert_close(with_gain(1, 1), photos)
    coarse = with_gain(0, 0)
    # A 16x16 mean of noise has a sixteenth of its spread, those cut off by the border have more.
    assert coarse.std() < 0.2 * photos.std()
    torch.testing.assert_close(with_gain(0.5, 0.5), (photos + coarse) / 2)
    monkeypatch.setattr(degradations, 'CONTRAST_BANDS', 1)
    between = with_gain(0, 1)
    gains = (between - with_gain(0, 0)).flatten(1).norm(dim=1) / (photos - with_gain(0, 0)).flatten(1).norm(dim=1)
    assert gains.unique().numel() == 3 and (gains < 1).all()  # each photo its own


def test_contrast_leaves_brightness_alone():
    flat = torch.full((2, 3, 5, 9), 0.3)
    torch.testing.assert_close(contrast(flat), flat)


def test_views_show_the_photo_where_they_see_it_and_a_degraded_one_elsewhere():
    torch.manual_seed(0)
    generator = CUDTargetGenerator(degradations=('blur', 'exposure'))
    photos = torch.rand(6, 3, 32, 32)
    masks = torch.zeros(6, 2, 32, 32, dtype=torch.uint8)
    masks[:, 0, :, :16] = masks[:, 1, :, 16:] = 1
    targets = generator(photos, masks)
    assert torch.equal(targets.view1[..., :16], photos[..., :16])
    assert torch.equal(targets.view2[..., 16:], photos[..., 16:])
    hidden = (targets.view1 - photos)[..., 16:]
    assert (hidden.abs().mean(dim=(1, 2, 3)) > 0.02).all()
    # Nothing here is noise: what is left correlates with the photo.
    correlation = torch.corrcoef(torch.stack([targets.view1[..., 16:].flatten(), photos[..., 16:].flatten()]))[0, 1]
    assert correlation > 0.3


def test_both_views_are_degraded_in_one_way_and_only_noise_and_exposure_tell_the_parts():
    torch.manual_seed(0)
    photos = torch.rand(64, 3, 16, 16)
    nothing = torch.zeros(64, 2, 16, 16, dtype=torch.uint8)
    targets = CUDTargetGenerator(degradations=('noise', 'blur', 'noise'))(photos, nothing)
    clipped = [(view == 1).flatten(1).any(dim=1) for view in (targets.view1, targets.view2)]  # no blurred photo is
    assert torch.equal(clipped[0], clipped[1]) and torch.equal(clipped[0], targets.decomposable)
    assert 34 <= clipped[0].sum() <= 52  # two of three: 42.7, twice its standard deviation is 7.5
    for name, told in dict(noise=True, exposure=True, blur=False, contrast=False).items():
        assert CUDTargetGenerator([name])(photos[:2], nothing[:2]).decomposable.tolist() == [told, told]


def test_unknown_degradation():
    with pytest.raises(ValueError, match=r"some of \['noise', 'blur', 'exposure', 'contrast'\], got \['fog'\]"):
        CUDTargetGenerator(degradations=['fog'])
