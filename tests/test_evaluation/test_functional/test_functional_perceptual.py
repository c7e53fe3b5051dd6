# Copyright (c) mmdefusion authors. All rights reserved.
import numpy as np
import pytest
from scipy.signal import correlate2d

from mmdefusion.evaluation.functional import chen_blum_quality, chen_varshney_quality

SHAPES = [(32, 48), (37, 45)]


def triple(seed, shape):
    rng = np.random.default_rng(seed)
    a, b = (np.clip(rng.normal(90, 35, shape), 3, 240).astype(np.uint8) for _ in range(2))
    return a, b, ((a.astype(int) + 2 * b) // 3).astype(np.uint8)


def stretched(image):
    image = image.astype(float)
    return np.floor((image - image.min()) / (image.max() - image.min()) * 255 + 0.5)


def radius(shape, divisor):
    """The centred frequency grid: -1 up to below 1 for even sides, symmetric about 0 for odd ones."""
    axes = [(np.arange(n) - n // 2) * 2 / n * n / divisor for n in shape]
    return np.sqrt(axes[0][:, None] ** 2 + axes[1][None] ** 2)


def filtered(image, response):
    return np.real(np.fft.ifft2(np.fft.ifftshift(np.fft.fftshift(np.fft.fft2(image)) * response)))


def chen_blum_reference(images):
    r = radius(images[0].shape, 30)
    response = np.exp(-((r / 15.3870) ** 2)) - 0.7622 * np.exp(-((r / 1.3456) ** 2))
    y, x = np.mgrid[-15:16, -15:16]
    narrow, wide = (np.exp(-(x**2 + y**2) / (2 * s**2)) / (2 * np.pi * s**2) for s in (2, 4))
    masked = []
    for image in images:
        image = filtered(image, response)
        contrast = np.abs(correlate2d(image, narrow, 'same') / correlate2d(image, wide, 'same') - 1)
        masked.append(contrast**3 / (contrast**2 + 0.0001))
    a, b, f = masked
    kept = [np.where(s < f, s / f, f / s) for s in (a, b)]
    return ((a**2 * kept[0] + b**2 * kept[1]) / (a**2 + b**2)).mean()


@pytest.mark.parametrize('shape', SHAPES)
def test_chen_blum_against_its_definition(shape):
    images = triple(0, shape)
    expected = chen_blum_reference([stretched(image) for image in images])
    assert chen_blum_quality(*images) == pytest.approx(expected, rel=1e-9)
    expected = chen_blum_reference([image.astype(float) for image in images])
    assert chen_blum_quality(*images, stretch=False) == pytest.approx(expected, rel=1e-9)


def chen_varshney_reference(a, b, f):
    r = radius(a.shape, 8)
    response = 2.6 * (0.0192 + 0.144 * r) * np.exp(-((0.144 * r) ** 1.1))
    gx = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    weighted = total = 0.0
    for source in (a, b):
        magnitude = np.sqrt(sum(correlate2d(source, kernel, 'same') ** 2 for kernel in (gx, gx.T)))
        square = filtered(source - f, response) ** 2
        for i in range(0, a.shape[0], 16):
            for j in range(0, a.shape[1], 16):
                saliency = (magnitude[i : i + 16, j : j + 16] ** 5).sum()
                weighted += saliency * square[i : i + 16, j : j + 16].sum() / 256
                total += saliency
    return weighted / total


@pytest.mark.parametrize('shape', SHAPES)
def test_chen_varshney_against_its_definition(shape):
    images = triple(1, shape)
    expected = chen_varshney_reference(*(stretched(image) for image in images))
    assert chen_varshney_quality(*images) == pytest.approx(expected, rel=1e-9)
    expected = chen_varshney_reference(*(image.astype(float) for image in images))
    assert chen_varshney_quality(*images, stretch=False) == pytest.approx(expected, rel=1e-9)


def test_copies():
    a = triple(2, (40, 40))[0]
    assert chen_blum_quality(a, a, a) == pytest.approx(1)
    assert chen_varshney_quality(a, a, a) == 0


def test_stretching_hides_lost_contrast():
    a = triple(3, (48, 48))[0] // 2 * 2
    weak = a // 2
    assert chen_varshney_quality(a, a, weak) == pytest.approx(0, abs=1e-9)
    assert chen_varshney_quality(a, a, weak, stretch=False) > 1


def test_more_distortion_scores_worse():
    a = triple(4, (64, 64))[0]
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 1, a.shape)
    images = [np.clip(a + level * noise, 0, 255).astype(np.uint8) for level in (3, 12, 40)]
    blum = [chen_blum_quality(a, a, image) for image in images]
    varshney = [chen_varshney_quality(a, a, image) for image in images]
    assert blum[0] > blum[1] > blum[2]
    assert varshney[0] < varshney[1] < varshney[2]


def test_sources_without_edges_weigh_alike():
    black, other = np.zeros((32, 32), np.uint8), triple(6, (32, 32))[0]
    r = radius((32, 32), 8)
    response = 2.6 * (0.0192 + 0.144 * r) * np.exp(-((0.144 * r) ** 1.1))
    expected = (filtered(stretched(other), response) ** 2).mean()
    assert chen_varshney_quality(black, black, other) == pytest.approx(expected)
    assert chen_blum_quality(black, black, black) == 1
    assert chen_blum_quality(black, black, other) < 0.05
