# Copyright (c) mmdefusion authors. All rights reserved.
import math

import numpy as np
import pytest
from scipy import stats
from skimage.metrics import peak_signal_noise_ratio

from mmdefusion.evaluation.functional import (
    average_gradient,
    correlation_coefficient,
    psnr,
    spatial_frequency,
    standard_deviation,
    sum_of_correlations_of_differences,
)

SMALL = np.array([[0, 3, 3], [4, 3, 0]], np.uint8)


def triple(seed, shape=(20, 23)):
    rng = np.random.default_rng(seed)
    return tuple(rng.integers(0, 256, shape).astype(np.uint8) for _ in range(3))


def test_standard_deviation_by_hand():
    assert standard_deviation(np.array([[0, 255]], np.uint8)) == 127.5
    assert standard_deviation(np.array([[1, 2, 3, 4]], np.uint8)) == pytest.approx(math.sqrt(1.25))
    assert standard_deviation(np.full((3, 3), 200, np.uint8)) == 0


def test_spatial_frequency_by_hand():
    # Differences along rows 3, 0, -1, -3 and along columns 4, 0, -3.
    assert spatial_frequency(SMALL) == pytest.approx(math.sqrt(19 / 4 + 25 / 3))
    assert spatial_frequency(SMALL, style='vifb') == pytest.approx(math.sqrt((19 + 25) / 6))
    assert spatial_frequency(np.zeros((1, 1), np.uint8)) == 0


def test_average_gradient_of_a_ramp():
    ramp = 3 * np.arange(10, dtype=np.uint8)[None] + 4 * np.arange(8, dtype=np.uint8)[:, None]
    expected = math.sqrt((9 + 16) / 2)
    assert average_gradient(ramp) == pytest.approx(expected)
    assert average_gradient(ramp, style='vifb') == pytest.approx(expected * 80 / 63)


def test_average_gradient_by_hand():
    gx = np.array([[3, 1.5, 0], [-1, -2, -3]])
    gy = np.array([[4, 0, -3], [4, 0, -3]])
    assert average_gradient(SMALL) == pytest.approx(np.sqrt((gx**2 + gy**2) / 2).mean())


def test_average_gradient_needs_two_pixels_each_way():
    with pytest.raises(ValueError, match='AG needs at least 2 pixels'):
        average_gradient(np.zeros((1, 9), np.uint8))


def test_correlations_against_scipy():
    a, b, f = triple(0)
    x, y, z = (image.ravel().astype(float) for image in (a, b, f))
    with_a, with_b = stats.pearsonr(x, z)[0], stats.pearsonr(y, z)[0]
    assert correlation_coefficient(a, b, f) == pytest.approx((with_a + with_b) / 2)
    assert correlation_coefficient(a, b, f, reduction='sum') == pytest.approx(with_a + with_b)
    expected = stats.pearsonr(z - y, x)[0] + stats.pearsonr(z - x, y)[0]
    assert sum_of_correlations_of_differences(a, b, f) == pytest.approx(expected)


def test_correlations_of_sums_and_inversions():
    a, b, _ = triple(1)
    assert sum_of_correlations_of_differences(a // 2, b // 2, a // 2 + b // 2) == pytest.approx(2)
    assert correlation_coefficient(a, a, a) == pytest.approx(1)
    assert correlation_coefficient(a, a, 255 - a) == pytest.approx(-1)


def test_correlation_with_a_constant_is_zero():
    a, _, f = triple(2)
    # 7 has no exact mean in many summation orders: rounding must not pass for variance.
    flat = np.full((20, 23), 7, np.uint8)
    assert correlation_coefficient(flat, flat, f) == 0
    assert correlation_coefficient(a, flat, flat) == 0
    assert sum_of_correlations_of_differences(a, a, a) == 0
    assert sum_of_correlations_of_differences(flat, flat, flat) == 0


def test_psnr_by_hand_and_against_skimage():
    a, b, f = triple(3)
    zero = np.zeros((4, 4), np.uint8)
    assert psnr(zero, zero + 5, zero) == pytest.approx(10 * math.log10(255**2 / 12.5))
    assert psnr(a, a, f) == pytest.approx(peak_signal_noise_ratio(a, f, data_range=255))
    assert psnr(a, b, f) == pytest.approx(psnr(b, a, f))


def test_psnr_of_copies_is_limited():
    a, _, _ = triple(4)
    assert psnr(a, a, a) == 100
    assert psnr(a, a, a, max_db=60) == 60


def test_bad_variants_are_refused():
    for metric in (spatial_frequency, average_gradient):
        with pytest.raises(ValueError, match="style must be one of .* found 'cddfuse'"):
            metric(SMALL, style='cddfuse')
