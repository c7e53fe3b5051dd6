# Copyright (c) mmdefusion authors. All rights reserved.
import math

import numpy as np
import pytest
from scipy.signal import convolve2d
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mmdefusion.evaluation.functional import evaluate_reference, gmsd, reference_psnr, reference_ssim


def pair(seed, shape=(30, 41)):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 256, shape).astype(np.uint8)
    return truth, np.clip(truth + rng.normal(0, 20, shape), 0, 255).astype(np.uint8)


def test_against_skimage():
    truth, fused = pair(0)
    assert reference_psnr(truth, fused) == pytest.approx(peak_signal_noise_ratio(truth, fused, data_range=255))
    expected = structural_similarity(
        truth, fused, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert reference_ssim(truth, fused) == pytest.approx(expected, rel=1e-9)


def test_psnr_by_hand():
    zero = np.zeros((11, 11), np.uint8)
    assert reference_psnr(zero, zero + 10) == pytest.approx(20 * math.log10(25.5))


@pytest.mark.parametrize('shape', [(12, 16), (13, 17)])
def test_gmsd_against_its_definition(shape):
    truth, fused = pair(1, shape)
    magnitudes = []
    for image in (truth, fused):
        averaged = convolve2d(image.astype(float), np.full((2, 2), 0.25), 'full')[1:, 1:][::2, ::2]
        kernel = np.array([[1, 0, -1]] * 3) / 3
        magnitudes.append(np.sqrt(sum(convolve2d(averaged, k, 'same') ** 2 for k in (kernel, kernel.T))))
    g, h = magnitudes
    quality = (2 * g * h + 170) / (g**2 + h**2 + 170)
    assert gmsd(truth, fused) == pytest.approx(np.std(quality, ddof=1), rel=1e-9)


def test_copies_and_growing_noise():
    truth, _ = pair(2, (64, 64))
    truth = truth // 4 + 90
    noise = np.random.default_rng(3).normal(0, 1, truth.shape)
    rows = [evaluate_reference(truth, np.clip(truth + s * noise, 0, 255).astype(np.uint8)) for s in (0, 10, 40)]
    assert rows[0] == {'PSNR-GT': 100, 'SSIM-GT': pytest.approx(1), 'GMSD': 0}
    for better, worse in zip(rows, rows[1:], strict=False):
        assert better['PSNR-GT'] > worse['PSNR-GT']
        assert better['SSIM-GT'] > worse['SSIM-GT']
        assert better['GMSD'] < worse['GMSD']


def test_failures():
    truth, fused = pair(4)
    with pytest.raises(ValueError, match=r'one size, found \(30, 41\) and \(30, 40\)'):
        reference_psnr(truth, fused[:, 1:])
    with pytest.raises(ValueError, match='GMSD needs at least 3 pixels'):
        gmsd(truth[:2], fused[:2])
    with pytest.raises(ValueError, match=r"unknown metrics \['PSNR'\]; known are \['PSNR-GT', 'SSIM-GT', 'GMSD'\]"):
        evaluate_reference(truth, fused, ['PSNR'])
