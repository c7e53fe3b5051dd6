# Copyright (c) mmdefusion authors. All rights reserved.
import numpy as np
import pytest
from scipy.signal import correlate2d

from mmdefusion.evaluation.functional import to_luma
from mmdefusion.evaluation.functional.luma import Luma, Plane, Window, combine, filter_valid, prepare


def test_weights_of_bgr():
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]], dtype=np.uint8)
    # .114 * 255 = 29.07, .587 * 255 = 149.685, .299 * 255 = 76.245, 1.14 + 11.74 + 8.97 = 21.85
    assert to_luma(colours).tolist() == [[29, 150, 76, 22]]


def test_halves_round_to_even_whatever_the_type():
    # .587 * 100 + .114 * 200 = 81.5 and .299 * 100 + .114 * 50 + .587 * 100 + ... : exact halves.
    colours = np.array([[[200, 100, 0], [250, 0, 0]]], dtype=np.uint8)
    assert to_luma(colours).tolist() == [[82, 28]]
    assert to_luma(colours.astype(np.float32)).tolist() == [[82, 28]]


def test_gray_colour_image_keeps_its_levels():
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(to_luma(np.repeat(gray[..., None], 3, axis=2)), gray)


def test_float_luma_is_rounded():
    assert to_luma(np.array([[0.0, 1.49, 1.51, 255.0]])).tolist() == [[0, 1, 2, 255]]


def test_black_float_image_is_legal():
    assert to_luma(np.zeros((2, 2), np.float32)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ('image', 'error', 'message'),
    [
        ([[1, 2]], TypeError, 'found list'),
        (np.zeros((2, 2), np.uint16), TypeError, 'found uint16 array'),
        (np.zeros((2, 2), bool), TypeError, 'found bool array'),
        (np.zeros((2, 2, 4), np.uint8), ValueError, r'expected shape .* found \(2, 2, 4\)'),
        (np.zeros(4, np.uint8), ValueError, r'found \(4,\)'),
        (np.zeros((0, 4), np.uint8), ValueError, r'found \(0, 4\)'),
        (np.array([[0.0, np.nan]]), ValueError, 'found NaN or infinity'),
        (np.array([[0.0, np.inf]]), ValueError, 'found NaN or infinity'),
        (np.array([[-1.0, 3.0]]), ValueError, r'found \[-1, 3\]'),
        (np.array([[0.0, 256.0]]), ValueError, r'found \[0, 256\]'),
        (np.array([[0.0, 0.7]]), ValueError, 'multiply by 255'),
    ],
)
def test_bad_images_are_refused(image, error, message):
    with pytest.raises(error, match=message):
        to_luma(image, 'photo')


def test_sizes_must_agree():
    image = np.zeros((4, 5), np.uint8)
    with pytest.raises(ValueError, match=r'a \(4, 5\), b \(4, 5\), f \(5, 4\)'):
        prepare(image, image, image.T)


def test_gray_and_colour_may_be_mixed():
    gray = np.full((4, 5), 7, np.uint8)
    planes = prepare(gray, np.full((4, 5, 3), 9, np.uint8), gray)
    assert [int(plane.pixels[0, 0]) for plane in planes] == [7, 9, 7]


@pytest.mark.parametrize('window', [Window(11, 1.5), Window(8), Window(3, 0.6), Window(4)])
def test_filter_is_a_correlation_over_the_valid_region(window):
    values = np.random.default_rng(0).uniform(0, 255, (17, 14))
    kernel = np.outer(window.kernel, window.kernel)
    assert kernel.sum() == pytest.approx(1)
    np.testing.assert_allclose(filter_valid(values, window), correlate2d(values, kernel, 'valid'), rtol=1e-12)


def test_moments_are_those_of_the_window():
    rng = np.random.default_rng(1)
    x, y = (Plane(rng.uniform(0, 255, (9, 8))) for _ in range(2))
    patch_x, patch_y = x.values[1:5, 2:6], y.values[1:5, 2:6]
    assert x.mean(Window(4))[1, 2] == pytest.approx(patch_x.mean())
    assert x.variance(Window(4))[1, 2] == pytest.approx(patch_x.var())
    assert x.covariance(y, Window(4))[1, 2] == pytest.approx(np.cov(patch_x.ravel(), patch_y.ravel(), ddof=0)[0, 1])


def test_half_averages_blocks_and_repeats_an_odd_border():
    plane = Plane(np.array([[0.0, 4.0, 8.0], [4.0, 8.0, 0.0], [2.0, 6.0, 5.0]]))
    assert plane.half.values.tolist() == [[4.0, 4.0], [4.0, 5.0]]


def test_joint_histogram_counts_pairs_of_levels():
    x, y = Luma(np.array([[0, 0, 255, 3]], np.uint8)), Luma(np.array([[1, 1, 255, 0]], np.uint8))
    joint = x.joint_histogram(y).reshape(256, 256)
    assert joint[0, 1] == 0.5 and joint[255, 255] == 0.25 and joint[3, 0] == 0.25 and joint.sum() == 1


def test_combine():
    assert combine(1.0, 2.0, 'sum') == 3.0
    assert combine(1.0, 2.0, 'mean') == 1.5
    with pytest.raises(ValueError, match="found 'max'"):
        combine(1.0, 2.0, 'max')
