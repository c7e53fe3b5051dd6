# Copyright (c) mmdefusion authors. All rights reserved.
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmdefusion.models import DeFusionHead
from mmdefusion.models.losses import ssim
from mmdefusion.models.losses.filters import gaussian_kernel, smooth
from mmdefusion.models.necks import Decomposition
from mmdefusion.models.target_generators import CUDTargets


def test_smooth_equals_a_convolution_and_has_its_gradient():
    kernel = gaussian_kernel(5, 1.0)
    assert kernel == pytest.approx([0.05449, 0.24420, 0.40262, 0.24420, 0.05449], abs=1e-5)
    image = torch.rand(2, 3, 9, 12, dtype=torch.float64, requires_grad=True)
    square = torch.outer(*torch.tensor([kernel, kernel], dtype=torch.float64))
    expected = F.conv2d(image.flatten(0, 1)[:, None], square[None, None]).unflatten(0, (2, 3))[:, :, 0]
    torch.testing.assert_close(smooth(image, kernel), expected)
    assert torch.autograd.gradcheck(lambda x: smooth(x, kernel), image)


def test_ssim_equals_scikit_image():
    structural_similarity = pytest.importorskip('skimage.metrics').structural_similarity
    x = torch.rand(2, 3, 40, 51)
    y = (x + 0.2 * torch.rand_like(x)).clamp(0, 1)
    for index, value in enumerate(ssim(x, y)):
        planes = [
            structural_similarity(
                x[index, channel].numpy(),
                y[index, channel].numpy(),
                data_range=1.0,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
                full=True,
            )[1][5:-5, 5:-5]
            for channel in range(3)
        ]
        assert value.item() == pytest.approx(np.mean(planes), abs=1e-5)


def test_ssim_of_constants_in_closed_form():
    x, y = torch.full((1, 1, 16, 16), 0.25), torch.full((1, 1, 16, 16), 0.75)
    c1 = 0.01**2
    expected = (2 * 0.25 * 0.75 + c1) / (0.25**2 + 0.75**2 + c1)
    # The variance of a constant is a difference of equal float32 numbers, next to the constant C2 = 9e-4.
    assert ssim(x, y).item() == pytest.approx(expected, rel=1e-3)
    assert ssim(x, x).item() == pytest.approx(1, abs=1e-6)


def test_ssim_gradient():
    x, y = torch.rand(2, 1, 2, 12, 13, dtype=torch.double)
    x.requires_grad_()
    # In float32 inside, so finite differences are coarse.
    assert torch.autograd.gradcheck(lambda image: ssim(image, y), (x,), eps=1e-2, atol=1e-3, nondet_tol=1e-6)


def test_ssim_needs_the_window_to_fit():
    with pytest.raises(ValueError, match=r'at least 11 pixels, got \(1, 1, 10, 20\)'):
        ssim(torch.rand(1, 1, 10, 20), torch.rand(1, 1, 10, 20))


def make(values):
    return [torch.full((2, 3, 16, 16), float(value)) for value in values]


EVERY = torch.tensor([True, True])


def test_losses_by_hand():
    target = CUDTargets(*make([0, 0, 0.1, 0.2, 0.3, 0.5]), EVERY)
    pred = Decomposition(*make([0.2, 0.4, 0.6, 0.25, 0.9]))
    losses = DeFusionHead().loss(pred, target)
    c1 = 0.01**2
    similarity = (2 * 0.25 * 0.5 + c1) / (0.25**2 + 0.5**2 + c1)
    expected = dict(
        loss_common=20 * 0.1,
        loss_unique1=10 * 0.2,
        loss_unique2=10 * 0.3,
        loss_fused=100 * 0.25,
        loss_ssim=50 * (1 - similarity) / 2,
        loss_masked=2 * 0.4,
    )
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(expected, rel=1e-3)
    squared = DeFusionHead(part_loss='mse').loss(pred, target)
    expected.update(loss_common=20 * 0.01, loss_unique1=10 * 0.04, loss_unique2=10 * 0.09)
    assert {name: value.item() for name, value in squared.items()} == pytest.approx(expected, rel=1e-3)


def test_parts_of_views_that_do_not_tell_are_left_out():
    pred = Decomposition(*make([0.2, 0.4, 0.6, 0.25, 0.9]))
    pred.common[1] = 0.5
    target = make([0, 0, 0.1, 0.2, 0.3, 0.5])
    first, none = torch.tensor([True, False]), torch.tensor([False, False])
    losses = DeFusionHead().loss(pred, CUDTargets(*target, first))
    assert losses['loss_common'].item() == pytest.approx(20 * 0.1)
    assert losses['loss_fused'].item() == pytest.approx(100 * 0.25)
    losses = DeFusionHead().loss(pred, CUDTargets(*target, none))
    assert [losses[f'loss_{part}'].item() for part in ('common', 'unique1', 'unique2')] == [0, 0, 0]
    assert losses['loss_masked'].item() == pytest.approx(2 * 0.4)


def test_unknown_part_loss():
    with pytest.raises(ValueError, match=r"part_loss must be one of \['l1', 'mse'\], got 'l2'"):
        DeFusionHead(part_loss='l2')


def test_losses_are_means_over_samples():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(11, 4, 3, 16, 16, generator=generator)

    def loss(images):
        every = torch.ones(images.size(1), dtype=torch.bool)
        return DeFusionHead().loss(Decomposition(*images[:5]), CUDTargets(*images[5:], every))

    halves = [loss(part) for part in images.chunk(2, dim=1)]
    for name, value in loss(images).items():
        torch.testing.assert_close(value, (halves[0][name] + halves[1][name]) / 2)
