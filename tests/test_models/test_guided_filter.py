# Copyright (c) mmdefusion authors. All rights reserved.
import numpy as np
import pytest
import torch

from mmdefusion.models.layers import guided_filter


def by_least_squares(plane, guides, radius, epsilon):
    """The definition: a ridge regression in each window, and the mean of what the windows around a pixel say."""
    height, width = plane.shape
    total, count = np.zeros_like(plane), np.zeros_like(plane)
    for y in range(height):
        for x in range(width):
            window = (
                slice(max(y - radius, 0), y + radius + 1),
                slice(max(x - radius, 0), x + radius + 1),
            )
            columns = np.stack([guide[window].ravel() for guide in guides] + [np.ones(plane[window].size)], axis=1)
            price = np.diag([epsilon, epsilon, 0]) * len(columns)
            fit = np.linalg.solve(columns.T @ columns + price, columns.T @ plane[window].ravel())
            total[window] += (columns @ fit).reshape(plane[window].shape)
            count[window] += 1
    # A window covers a pixel exactly where the one around the pixel covers the window's centre.
    return total / count


@pytest.mark.parametrize(('shape', 'radius'), [((9, 12), 2), ((5, 7), 8), ((1, 6), 1)])
def test_equals_a_regression_in_each_window(shape, radius):
    rng = np.random.default_rng(0)
    plane, *guides = rng.random((3, *shape))
    tensors = (torch.from_numpy(image)[None, None] for image in (plane, *guides))
    result = guided_filter(*tensors, radius, 0.01)[0, 0].numpy()
    np.testing.assert_allclose(result, by_least_squares(plane, guides, radius, 0.01), atol=1e-12)


def test_flat_guides_leave_means_of_means_by_hand():
    plane = torch.tensor([0.0, 0, 0, 9, 0, 0]).view(1, 1, 1, 6)
    flat = torch.full_like(plane, 0.3)
    # Means of three: 0 0 3 3 3 0, the last one of two; again: 0 1 2 3 2 1.5.
    result = guided_filter(plane, flat, flat + 0.1, 1, 1e-3)
    torch.testing.assert_close(result.flatten(), torch.tensor([0.0, 1, 2, 3, 2, 1.5]), rtol=1e-4, atol=1e-5)


def test_what_is_linear_in_the_guides_comes_back_and_their_order_is_nothing():
    guide1, guide2 = torch.rand(2, 2, 1, 20, 30)
    plane = 0.7 * guide1 - 0.4 * guide2 + 0.1
    result = guided_filter(plane, guide1, guide2, 4, 1e-6)
    torch.testing.assert_close(result, plane, rtol=0, atol=1e-3)
    torch.testing.assert_close(guided_filter(plane, guide2, guide1, 4, 1e-6), result)


def test_a_step_stays_where_a_guide_has_one_and_else_fades():
    plane = torch.zeros(1, 1, 40, 64)
    plane[..., 32:] = 1
    flat = torch.full_like(plane, 0.5)
    kept = guided_filter(plane, flat, 0.2 + 0.5 * plane, 8, 1e-3)
    assert (kept[..., 32] - kept[..., 31]).min() > 0.95
    # Two means of 17: no more than a seventeenth from one to the next.
    faded = guided_filter(plane, flat, flat, 8, 1e-3)
    assert faded.diff(dim=-1).max().item() == pytest.approx(1 / 17, abs=1e-4)
    assert (faded[..., 32] + faded[..., 31]).mean().item() == pytest.approx(1, abs=1e-4)


def test_gradients_are_those_of_finite_differences():
    plane, guide1, guide2 = torch.rand(3, 1, 1, 4, 5, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda *planes: guided_filter(*planes, 1, 0.05), (plane, guide1, guide2))
