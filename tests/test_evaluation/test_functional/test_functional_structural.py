# Copyright (c) mmdefusion authors. All rights reserved.
import numpy as np
import pytest
from scipy.signal import correlate2d
from skimage.metrics import structural_similarity

from mmdefusion.evaluation.functional import (
    mef_ssim,
    multi_scale_mef_ssim,
    multi_scale_ssim,
    ssim,
    visual_information_fidelity,
    yang_quality,
)
from mmdefusion.evaluation.functional.luma import Luma
from mmdefusion.evaluation.functional.mef_ssim import _single_scale


def smooth_triple(seed, shape):
    """Two correlated sources with texture and flat parts, and a fusion with noise of its own."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    base = 120 + 60 * np.sin(x / 7) * np.cos(y / 5)
    a = base + rng.normal(0, 12, shape)
    b = 0.4 * base + 50 * np.cos((x + y) / 9) + rng.normal(0, 6, shape)
    a[:9, :12] = 40
    f = np.maximum(a, b) + rng.normal(0, 5, shape)
    return tuple(np.clip(image, 0, 255).astype(np.uint8) for image in (a, b, f))


def gaussian(size, sigma):
    offsets = np.arange(size) - size // 2
    kernel = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * sigma**2))
    return kernel / kernel.sum()


def moments(x, y, kernel):
    mean_x, mean_y = (correlate2d(image, kernel, 'valid') for image in (x, y))
    variance_x, variance_y, covariance = (
        correlate2d(p * q, kernel, 'valid') - mean_p * mean_q
        for p, q, mean_p, mean_q in ((x, x, mean_x, mean_x), (y, y, mean_y, mean_y), (x, y, mean_x, mean_y))
    )
    return mean_x, mean_y, variance_x, variance_y, covariance


def skimage_ssim(x, y):
    return structural_similarity(x, y, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)


def test_ssim_against_skimage():
    a, b, f = smooth_triple(0, (40, 57))
    expected = skimage_ssim(a, f) + skimage_ssim(b, f)
    assert ssim(a, b, f) == pytest.approx(expected / 2, rel=1e-9)
    assert ssim(a, b, f, reduction='sum') == pytest.approx(expected, rel=1e-9)


def test_ssim_of_constants_is_the_luminance_term():
    low, high = np.full((11, 11), 50, np.uint8), np.full((11, 11), 100, np.uint8)
    c1 = 2.55**2
    assert ssim(low, low, high) == pytest.approx((2 * 5000 + c1) / (2500 + 10000 + c1))


def ms_ssim_reference(x, y):
    value, kernel = 1.0, gaussian(11, 1.5)
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    for scale, weight in enumerate(weights):
        mean_x, mean_y, variance_x, variance_y, covariance = moments(x, y, kernel)
        term = ((2 * covariance + 58.5225) / (variance_x + variance_y + 58.5225)).mean()
        if scale == 4:
            term *= ((2 * mean_x * mean_y + 6.5025) / (mean_x**2 + mean_y**2 + 6.5025)).mean()
        value *= term**weight
        x, y = (
            np.pad(image, [(0, size % 2) for size in image.shape], mode='symmetric')
            .reshape((image.shape[0] + 1) // 2, 2, (image.shape[1] + 1) // 2, 2)
            .mean(axis=(1, 3))
            for image in (x, y)
        )
    return value


def test_multi_scale_ssim_against_its_definition():
    a, b, f = smooth_triple(1, (173, 201))
    expected = (ms_ssim_reference(a.astype(float), f.astype(float)) + ms_ssim_reference(b * 1.0, f * 1.0)) / 2
    assert multi_scale_ssim(a, b, f) == pytest.approx(expected, rel=1e-9)
    assert multi_scale_ssim(a, b, f, reduction='sum') == pytest.approx(2 * expected, rel=1e-9)


def test_multi_scale_ssim_of_an_inverted_image_is_zero():
    a = smooth_triple(2, (170, 170))[0]
    assert multi_scale_ssim(a, a, 255 - a) == 0


def q_y_loops(a, b, f):
    kernel, values = gaussian(7, 1.5), []

    def similarity(x, y):
        mean_x, mean_y = (kernel * x).sum(), (kernel * y).sum()
        variance_x, variance_y = (kernel * (x - mean_x) ** 2).sum(), (kernel * (y - mean_y) ** 2).sum()
        covariance = (kernel * (x - mean_x) * (y - mean_y)).sum()
        luminance = 2 * mean_x * mean_y / (mean_x**2 + mean_y**2) if mean_x + mean_y > 0 else 1
        return luminance * (2 * covariance / (variance_x + variance_y) if variance_x + variance_y > 1e-9 else 1)

    for i in range(a.shape[0] - 6):
        for j in range(a.shape[1] - 6):
            x, y, z = (image[i : i + 7, j : j + 7].astype(float) for image in (a, b, f))
            variance_x, variance_y = ((kernel * (w - (kernel * w).sum()) ** 2).sum() for w in (x, y))
            if similarity(x, y) >= 0.75:
                share = variance_x / (variance_x + variance_y) if variance_x + variance_y > 1e-9 else 0.5
                values.append(share * similarity(x, z) + (1 - share) * similarity(y, z))
            else:
                values.append(max(similarity(x, z), similarity(y, z)))
    return np.mean(values)


def test_yang_quality_against_loops():
    a, b, f = smooth_triple(3, (24, 30))
    # Similar, flat and black parts: every branch of the definition.
    b[:, 18:] = np.clip(a[:, 18:].astype(int) + 3, 0, 255)
    a[:9, :9] = b[:9, :9] = f[:9, :9] = 0
    b[12:20, :8], f[12:20, :8], a[12:20, :8] = 9, 9, 9
    assert yang_quality(a, b, f) == pytest.approx(q_y_loops(a, b, f), rel=1e-9)


def mef_loops(a, b, f, side, kernel):
    """The definition patch by patch, as the authors' code computes it."""
    sources, values = (a.astype(float), b.astype(float)), []
    for i in range(a.shape[0] - side + 1):
        for j in range(a.shape[1] - side + 1):
            patches = [s[i : i + side, j : j + side] for s in sources]
            centred = [patch - patch.mean() for patch in patches]
            norms = [np.linalg.norm(patch) for patch in centred]
            consistency = min((np.linalg.norm(sum(centred)) + 2.2e-16) / (sum(norms) + 2.2e-16), 1 - 2.2e-16)
            exponent = min(np.tan(np.pi / 2 * consistency), 10)
            strengths = [norm + 0.001 for norm in norms]
            weights = [(strength / side) ** exponent + 2.2e-16 for strength in strengths]
            mixed = sum(w / sum(weights) * c / s for w, c, s in zip(weights, centred, strengths, strict=True))
            if np.linalg.norm(mixed) > 0:
                mixed = mixed / np.linalg.norm(mixed) * max(strengths)
            fused = f[i : i + side, j : j + side].astype(float)
            mixed, fused = mixed - (kernel * mixed).sum(), fused - (kernel * fused).sum()
            covariance = (kernel * mixed * fused).sum()
            variances = (kernel * mixed**2).sum() + (kernel * fused**2).sum()
            values.append((2 * covariance + 58.5225) / (variances + 58.5225))
    return np.mean(values)


@pytest.mark.parametrize(
    ('window', 'side', 'kernel'), [('box', 8, np.full((8, 8), 1 / 64)), ('gaussian', 11, gaussian(11, 1.5))]
)
def test_mef_ssim_against_loops(window, side, kernel):
    a, b, f = smooth_triple(4, (22, 27))
    assert mef_ssim(a, b, f, window=window) == pytest.approx(mef_loops(a, b, f, side, kernel), rel=1e-7)


def test_mef_ssim_of_flat_sources_asks_for_a_flat_image():
    flat, texture = np.full((16, 16), 90, np.uint8), smooth_triple(5, (16, 16))[1]
    assert mef_ssim(flat, flat + 40, flat + 100) == pytest.approx(1)
    assert mef_ssim(flat, flat, texture) < 0.9


def test_mef_ssim_ignores_the_level_of_the_fused_image():
    a, b, f = smooth_triple(6, (20, 20))
    f = np.clip(f, 0, 200)
    assert mef_ssim(a, b, f + 50) == pytest.approx(mef_ssim(a, b, f))


@pytest.mark.parametrize('window', ['box', 'gaussian'])
def test_multi_scale_mef_ssim_is_the_weighted_product_of_three_scales(window):
    images = smooth_triple(7, (53, 60))
    planes, value = [Luma(image) for image in images], 1.0
    for weight in np.array([0.0448, 0.2856, 0.3001]) / 0.6305:
        value *= _single_scale(*planes, window) ** weight
        planes = [plane.half for plane in planes]
    assert multi_scale_mef_ssim(*images, window=window) == pytest.approx(value, rel=1e-9)


def vif_reference(x, y):
    numerator = denominator = 0.0
    for scale, size in enumerate((17, 9, 5, 3)):
        kernel = gaussian(size, size / 5)
        if scale:
            x, y = (correlate2d(image, kernel, 'valid')[::2, ::2] for image in (x, y))
        _, _, variance_x, variance_y, covariance = moments(x, y, kernel)
        for s, t, c in zip(variance_x.ravel(), variance_y.ravel(), covariance.ravel(), strict=True):
            s, t = max(s, 0), max(t, 0)
            gain = c / (s + 1e-10) if s > 1e-10 and t > 1e-10 else 0
            noise = t - gain * c if s > 1e-10 else t
            gain, noise = (0, t) if gain < 0 else (gain, noise)
            numerator += np.log10(1 + gain**2 * s / (max(noise, 1e-10) + 2))
            denominator += np.log10(1 + s / 2)
    return numerator / denominator


def test_visual_information_fidelity_against_its_definition():
    a, b, f = smooth_triple(8, (48, 53))
    expected = sum(vif_reference(source.astype(float), f.astype(float)) for source in (a, b))
    assert visual_information_fidelity(a, b, f) == pytest.approx(expected, rel=1e-6)
    assert visual_information_fidelity(a, b, f, reduction='mean') == pytest.approx(expected / 2, rel=1e-6)


def test_visual_information_fidelity_rewards_contrast_and_not_inversion():
    a = smooth_triple(9, (60, 60))[0] // 2 + 30
    assert visual_information_fidelity(a, a, a) == pytest.approx(2, rel=1e-6)
    assert visual_information_fidelity(a, a, (a.astype(int) * 3 // 2 - 30).clip(0, 255).astype(np.uint8)) > 2
    assert visual_information_fidelity(a, a, 255 - a) < 0.02
    black = np.zeros_like(a)
    assert visual_information_fidelity(black, a, a) == pytest.approx(1, rel=1e-6)
    assert visual_information_fidelity(black, black, a) == 0


@pytest.mark.parametrize('metric', [ssim, multi_scale_ssim, yang_quality, mef_ssim, multi_scale_mef_ssim])
def test_copies_score_one(metric):
    a = smooth_triple(10, (170, 180))[0]
    assert metric(a, a, a) == pytest.approx(1)


@pytest.mark.parametrize(
    ('metric', 'name', 'side'),
    [
        (ssim, 'SSIM', 11),
        (multi_scale_ssim, 'MS-SSIM', 161),
        (yang_quality, 'Q_Y', 7),
        (mef_ssim, 'MEF-SSIM', 8),
        (multi_scale_mef_ssim, 'MEF-MS-SSIM', 41),
        (visual_information_fidelity, 'VIF', 41),
    ],
)
def test_smallest_image(metric, name, side):
    images = smooth_triple(11, (side, side + 30))
    assert np.isfinite(metric(*images))
    with pytest.raises(ValueError, match=f'{name} needs at least {side} pixels on each side, found'):
        metric(*(image[1:] for image in images))


def test_bad_window_is_refused():
    with pytest.raises(ValueError, match=r"window must be one of \('box', 'gaussian'\), found 'hann'"):
        mef_ssim(*smooth_triple(12, (20, 20)), window='hann')
