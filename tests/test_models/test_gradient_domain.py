# Copyright (c) mmdefusion authors. All rights reserved.
import numpy as np
import pytest
import torch

from mmdefusion.models.classical import poisson
from mmdefusion.models.layers import (
    Gradient,
    divergence,
    forward_gradient,
    missing_divergence,
    solve_screened_poisson,
)


def solution(gradient, base, screening):
    """The image with nearly that gradient and the base's brightness."""
    return base - solve_screened_poisson(missing_divergence(gradient, base), screening)


def test_gradient_and_divergence_by_hand_and_as_adjoints():
    image = torch.tensor([[1.0, 3.0], [4.0, 9.0]])
    gradient = forward_gradient(image)
    assert (gradient.x.tolist(), gradient.y.tolist()) == ([[2], [5]], [[3, 6]])
    assert divergence(gradient).tolist() == [[2 + 3, -2 + 6], [5 - 3, -5 - 6]]
    image, other = torch.randn(3, 7, 5), forward_gradient(torch.randn(3, 7, 5))
    product = sum((of_image * part).sum() for of_image, part in zip(forward_gradient(image), other, strict=True))
    torch.testing.assert_close(product, -(image * divergence(other)).sum())


@pytest.mark.parametrize('shape', [(1, 1), (2, 5), (16, 16), (21, 34), (7, 120)])
def test_solution_equals_the_classical_one(shape):
    """Sides of up to twice six lengths of 10 pixels have whole mirror images, whatever their parity."""
    gradient = forward_gradient(torch.randn(2, 3, *shape, dtype=torch.float64))
    base = torch.rand(2, 3, *shape, dtype=torch.float64)
    solved = solution(gradient, base, 0.01)
    for index in np.ndindex(2, 3):
        along_x = np.pad(gradient.x[index].numpy(), ((0, 0), (0, 1)))
        along_y = np.pad(gradient.y[index].numpy(), ((0, 1), (0, 0)))
        expected = poisson.solve_screened_poisson(along_x, along_y, base[index].numpy(), 0.01)
        np.testing.assert_allclose(solved[index].numpy(), expected, atol=1e-10)


def test_mirror_images_that_end_after_six_lengths_change_less_than_a_gray_level():
    """For steps of half the range beside the border, far more than a base and its gradient differ by."""
    base = torch.zeros(1, 1, 200, 333, dtype=torch.float64)
    base[..., ::40] = 0.5
    base[..., :3, :] = 0.5
    flat = forward_gradient(torch.zeros_like(base))
    along_x, along_y = np.zeros((200, 333)), np.zeros((200, 333))
    expected = poisson.solve_screened_poisson(along_x, along_y, base[0, 0].numpy(), 0.01)
    np.testing.assert_allclose(solution(flat, base, 0.01)[0, 0].numpy(), expected, atol=0.5 / 255)


def test_an_images_own_gradient_gives_it_back_and_a_flat_one_its_mean():
    image = torch.rand(1, 1, 12, 20, dtype=torch.float64)
    torch.testing.assert_close(solution(forward_gradient(image), image, 0.1), image)
    flat = solution(forward_gradient(torch.zeros_like(image)), image, 1e-7)
    torch.testing.assert_close(flat, image.mean().expand_as(flat), rtol=0, atol=1e-3)


def test_what_happens_at_one_pixel_fades_with_the_screening():
    """At 64 pixels and a length of 16, no more than exp(-4) is left of what the pixel itself sees."""
    base = torch.zeros(1, 1, 1, 257)
    base[..., 128] = 1
    answer = solution(forward_gradient(torch.zeros_like(base)), base, 16**-2)[0, 0, 0]
    assert (answer[128 + 64] / answer[128]).item() == pytest.approx(np.exp(-4), rel=0.01)


def test_gradients_flow():
    along_x = torch.randn(1, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    along_y = torch.randn(1, 1, 2, 4, dtype=torch.float64, requires_grad=True)
    base = torch.rand(1, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, y, m: solution(Gradient(x, y), m, 0.1), (along_x, along_y, base))
