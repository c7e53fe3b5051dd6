# Copyright (c) mmdefusion authors. All rights reserved.
import math

import numpy as np
import pytest
from scipy.signal import convolve2d, correlate2d

from mmdefusion.evaluation.functional import edge_artifacts, edge_preservation

GX = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
GY = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]])


def triple(seed, shape=(14, 17)):
    rng = np.random.default_rng(seed)
    # Few levels: vertical, horizontal and missing edges and equal strengths all occur.
    a, b = (rng.integers(0, 4, shape).repeat(2, 0)[: shape[0]] * 60 for _ in range(2))
    return a.astype(np.uint8), b.astype(np.uint8), np.maximum(a, b // 2).astype(np.uint8)


def sigmoid(x, gain, slope, centre):
    return gain / (1 + math.exp(slope * (x - centre)))


def qabf_loops(a, b, f):
    def edges(image):
        gx, gy = (convolve2d(image.astype(float), kernel, 'same') for kernel in (GX, GY))
        return [
            (math.hypot(x, y), math.atan(y / x) if x else math.pi / 2)
            for x, y in zip(gx.ravel(), gy.ravel(), strict=True)
        ]

    numerator = denominator = 0.0
    for source in (a, b):
        for (g, angle), (h, angle_f) in zip(edges(source), edges(f), strict=True):
            ratio = g if g == h else min(g, h) / max(g, h)
            agreement = 1 - abs(angle - angle_f) / (math.pi / 2)
            numerator += g * sigmoid(ratio, 0.9994, -15, 0.5) * sigmoid(agreement, 0.9879, -22, 0.8)
            denominator += g
    return numerator / denominator


@pytest.mark.parametrize('seed', range(3))
def test_edge_preservation_against_loops(seed):
    images = triple(seed)
    assert edge_preservation(*images) == pytest.approx(qabf_loops(*images), rel=1e-5)


def test_edge_preservation_of_copies_is_its_maximum():
    a = np.random.default_rng(3).integers(0, 256, (20, 20)).astype(np.uint8)
    limit = 0.9994 * sigmoid(1, 0.9879, -22, 0.8)
    assert limit == pytest.approx(0.97533, abs=1e-5)
    assert edge_preservation(a, a, a) == pytest.approx(limit, rel=1e-4)


def test_nothing_is_preserved_by_a_black_image_or_of_black_sources():
    a, _, f = triple(4)
    black = np.zeros_like(a)
    # Ratio 0 is worth .9994 / (1 + e^7.5) in strength, and that at most.
    assert 0 <= edge_preservation(a, a, black) < 6e-4
    assert edge_preservation(black, black, f) == 0
    assert edge_preservation(black, black, black) == 0


def nabf_loops(a, b, f, petrovic):
    def edges(image):
        padded = np.pad(image.astype(float), 1, mode='reflect')
        gv = correlate2d(padded, GX / 8, 'valid')
        gh = correlate2d(padded, -GY / 8, 'valid')
        return [
            (math.hypot(v, h), 0.0 if v == 0 and h == 0 else math.atan(v / h) if h else math.copysign(math.pi / 2, v))
            for v, h in zip(gv.ravel(), gh.ravel(), strict=True)
        ]

    numerator = denominator = 0.0
    for edge_a, edge_b, (h, angle_f) in zip(edges(a), edges(b), edges(f), strict=True):
        losses, weights = [], []
        for g, angle in (edge_a, edge_b):
            ratio = min(g, h) / max(g, h) if g and h else 0
            agreement = abs(abs(angle - angle_f) - math.pi / 2) * 2 / math.pi
            worth = sigmoid(ratio, 0.9999, -19, 0.5) * sigmoid(agreement, 0.9995, -22, 0.5)
            losses.append(1 - math.sqrt(worth))
            weights.append(g**1.5 if g >= 2 else 0.001)
        denominator += sum(weights)
        if h > edge_a[0] and h > edge_b[0]:
            both = sum(losses) * sum(weights)
            numerator += both if petrovic else losses[0] * weights[0] + losses[1] * weights[1]
    return numerator / denominator


@pytest.mark.parametrize('style', ['kumar', 'petrovic'])
def test_edge_artifacts_against_loops(style):
    a, b, f = triple(5)
    rng = np.random.default_rng(6)
    f = np.clip(f + rng.normal(0, 25, f.shape), 0, 255).astype(np.uint8)
    expected = nabf_loops(a, b, f, style == 'petrovic')
    assert expected > 0.01
    assert edge_artifacts(a, b, f, style=style) == pytest.approx(expected, rel=1e-4)


def test_no_artifacts_without_new_edges_and_all_from_nothing():
    a, _, f = triple(7)
    assert edge_artifacts(a, a, a) == 0
    assert edge_artifacts(a, a, np.zeros_like(a)) == 0
    black = np.zeros_like(a)
    assert edge_artifacts(black, black, black) == 0
    assert 0.5 < edge_artifacts(black, black, f) <= 1


def test_bad_style_is_refused():
    with pytest.raises(ValueError, match="style must be 'kumar' or 'petrovic', found 'xydeas'"):
        edge_artifacts(*triple(8), style='xydeas')
