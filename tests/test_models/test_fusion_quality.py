# Copyright (c) mmdefusion authors. All rights reserved.
import numpy as np
import pytest
import torch

from mmdefusion.evaluation import functional
from mmdefusion.models import losses


def luma(values):
    return torch.from_numpy(values / 255).float()[None, None]


@pytest.fixture(scope='module')
def images():
    """Two sources and a fused image, smooth enough to have edges, 8-bit gray levels."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.random((3, 1, 14, 18))).float()
    smooth = torch.nn.functional.interpolate(coarse, size=(96, 128), mode='bicubic')[:, 0].clamp(0, 1).numpy()
    a, b = (np.rint(255 * plane).astype(np.float64) for plane in smooth[:2])
    fused = np.rint(0.6 * np.maximum(a, b) + 0.4 * np.minimum(a, b))
    return a, b, fused


def test_visual_fidelity_follows_the_metric(images):
    a, b, fused = images
    loss = losses.visual_fidelity(luma(a), luma(fused)) + losses.visual_fidelity(luma(b), luma(fused))
    # The floor of a tenth of a nat a pixel makes it a little smaller.
    assert loss.item() == pytest.approx(functional.visual_information_fidelity(a, b, fused), rel=0.08)
    assert losses.visual_fidelity(luma(a), luma(a)).item() == pytest.approx(1, abs=0.08)


def test_mutual_information_equals_the_metric_on_the_levels_of_its_histogram(images):
    a, b, fused = (5 * np.rint(image / 5) for image in images)
    shares = [functional.mutual_information(x, np.zeros_like(x), fused) / functional.entropy(x) for x in (a, b)]
    for source, share in zip((a, b), shares, strict=True):
        # A hundredth of a nat is added to the entropy.
        assert losses.mutual_information(luma(source), luma(fused)).item() == pytest.approx(share, rel=5e-3)
    assert losses.mutual_information(luma(a), luma(a)).item() == pytest.approx(1, abs=5e-3)
    flat = torch.full((1, 1, 96, 128), 0.37)
    assert losses.mutual_information(flat, luma(a)).item() == pytest.approx(0, abs=1e-3)


def test_mutual_information_grows_along_its_slope():
    generator = torch.Generator().manual_seed(0)
    source = torch.rand(2, 1, 32, 32, generator=generator)
    image = (0.5 * source + 0.5 * torch.rand(2, 1, 32, 32, generator=generator)).requires_grad_()
    before = losses.mutual_information(source, image)
    (slope,) = torch.autograd.grad(before.sum(), image)
    after = losses.mutual_information(source, image + 1e-3 * slope / slope.abs().max())
    assert (after > before).all()


def test_steps_that_neither_source_has():
    """A bright and a dark sky, fused to the mean but for a dark corner of 2x2 squares of 6x8: 0.4 darker."""
    x1, x2 = (torch.full((1, 1, 96, 128), value) for value in (0.9, 0.1))
    fused = torch.full_like(x1, 0.5)
    assert losses.unfounded_steps(x1, x2, fused).item() == 0
    fused[..., :32, :32] = 0.1
    # Pairs of squares across the corner's border, of all pairs: along columns (6 rows of squares), then along rows (8).
    down = [2 / (5 * 8) * 1, 2 * 2 / (4 * 8), 2 * 2 / (2 * 8)]
    across = [2 / (6 * 7) * 1, 2 * 2 / (6 * 6), 2 * 2 / (6 * 4)]
    assert losses.unfounded_steps(x1, x2, fused).item() == pytest.approx(0.4**2 * sum(down + across) / 6, rel=1e-4)
    # Where one source is as dark there, that is founded; only what goes beyond 1.1 times its step counts.
    x1[..., :32, :32] = 0.5
    assert losses.unfounded_steps(x1, x2, fused).item() == pytest.approx(0, abs=1e-7)
    fused[..., :32, :32] = 0.05
    assert losses.unfounded_steps(x1, x2, fused).item() == pytest.approx(0.01**2 * sum(down + across) / 6, rel=1e-3)


def test_the_slope_of_mutual_information_is_finite_on_black_and_white():
    source = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0)).round()
    image = source.clone().requires_grad_()
    (slope,) = torch.autograd.grad(losses.mutual_information(source, image).sum(), image)
    assert slope.isfinite().all()


def test_difference_correlation_equals_the_metric(images):
    a, b, fused = images
    expected = functional.sum_of_correlations_of_differences(a, b, fused)
    assert losses.difference_correlation(*map(luma, images)).item() == pytest.approx(expected, abs=2e-3)


def test_exposure_fidelity_equals_the_metric(images):
    expected = functional.mef_ssim(*images)
    assert losses.exposure_fidelity(*map(luma, images)).item() == pytest.approx(expected, abs=5e-3)


def test_edge_fidelity_follows_the_metric(images):
    a, b, fused = images
    candidates = [fused, np.maximum(a, b), np.rint((a + b) / 2), np.full_like(a, 90)]
    values = [losses.edge_fidelity(luma(a), luma(b), luma(image)).item() for image in candidates]
    metric = [functional.edge_preservation(a, b, image) for image in candidates]
    assert np.argsort(values).tolist() == np.argsort(metric).tolist()
    assert np.corrcoef(values, metric)[0, 1] > 0.97
    same = losses.edge_fidelity(luma(a), luma(a), luma(a)).item()
    assert 0.93 < same < 0.976


def test_strongest_gradient_is_taken_pixel_by_pixel():
    step = torch.zeros(1, 1, 8, 16)
    step[..., 4:] = 0.5  # an edge at column 4
    weaker = torch.zeros(1, 1, 8, 16)
    weaker[..., 4:] = 0.2
    weaker[..., 12:] = 0.4  # a second one at column 12, alone
    wanted = step.clone()
    wanted[..., 12:] += 0.2
    assert losses.strongest_gradient_error(step, weaker, wanted).item() == pytest.approx(0, abs=1e-6)
    # Without the second edge, two of 14 columns of the horizontal derivative miss 4 * 0.2, the vertical one nothing.
    missing = losses.strongest_gradient_error(step, weaker, step).item()
    assert missing == pytest.approx(2 / 14 * 0.8 / 2, rel=1e-5)


def test_contrast_is_compared_with_the_better_source_of_each_window():
    stripes = torch.tensor([-1.0, 1.0]).repeat(32)  # standard deviation 1 in every window
    gain1, gain2 = (torch.where(torch.arange(64) < 32, *gains) for gains in ((0.2, 0.1), (0.05, 0.3)))
    x1, x2, fused = (0.5 + (gain * stripes).expand(1, 1, 32, 64) for gain in (gain1, gain2, torch.full((64,), 0.2)))
    # Windows start at 0, 8, 16, 24 and 32; k of the four quarters of a window lie in the right half.
    share = torch.arange(5) / 4
    contrasts = [((1 - share) * left**2 + share * right**2).sqrt() for left, right in ((0.2, 0.1), (0.05, 0.3))]
    better, other = torch.maximum(*contrasts), torch.minimum(*contrasts)
    expected = ((better + 0.15 * (better - other) - 0.2).clamp(min=0).sum() / better.sum()).item()
    assert losses.contrast_shortfall(x1, x2, fused).item() == pytest.approx(expected, rel=1e-3)
    gray = torch.full_like(x1, 0.5)
    assert losses.contrast_shortfall(x1, gray, x1).item() == pytest.approx(0.15, abs=2e-3)
    assert losses.contrast_shortfall(x1, gray, 0.5 + 1.15 * (x1 - 0.5)).item() == 0
    assert losses.contrast_shortfall(x1, x1, x1).item() == 0  # both show it


@pytest.mark.parametrize(
    'name',
    ['visual_fidelity', 'edge_fidelity', 'difference_correlation', 'exposure_fidelity', 'contrast_shortfall'],
)
@pytest.mark.parametrize('flat', [False, True])
def test_gradients_are_finite(images, name, flat):
    a, b, fused = (torch.full((1, 1, 64, 64), 0.4) if flat else luma(image) for image in images)
    fused = fused.clone().requires_grad_(True)
    function = getattr(losses, name)
    value = function(a, fused) if name == 'visual_fidelity' else function(a, b, fused)
    value.sum().backward()
    assert fused.grad.isfinite().all()


@pytest.mark.parametrize('name', ['edge_fidelity', 'difference_correlation', 'exposure_fidelity', 'contrast_shortfall'])
def test_the_order_of_the_sources_does_not_matter(images, name):
    a, b, fused = map(luma, images)
    function = getattr(losses, name)
    torch.testing.assert_close(function(a, b, fused), function(b, a, fused))
