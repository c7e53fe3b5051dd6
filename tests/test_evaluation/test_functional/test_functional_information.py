# Copyright (c) mmdefusion authors. All rights reserved.
import math

import numpy as np
import pytest
from scipy import stats

from mmdefusion.evaluation.functional import (
    cross_entropy,
    entropy,
    feature_mutual_information,
    mutual_information,
    normalized_mutual_information,
)

BLACK = np.zeros((4, 4), np.uint8)
HALVES = np.repeat(np.array([[0, 255]], np.uint8), 4, axis=0).repeat(2, axis=1)


def triple(seed, shape=(20, 23)):
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 256, shape) // step * step for step in (16, 5))
    return a.astype(np.uint8), b.astype(np.uint8), ((a + b) // 2).astype(np.uint8)


def entropy_of(*images):
    joint = np.histogramdd([image.ravel() for image in images], bins=256, range=[(0, 256)] * len(images))[0]
    return stats.entropy(joint.ravel(), base=2)


def test_entropy_closed_forms():
    assert entropy(BLACK) == 0
    assert math.copysign(1, entropy(BLACK)) == 1
    assert entropy(HALVES) == 1
    assert entropy(np.arange(256, dtype=np.uint8).reshape(16, 16)) == pytest.approx(8)
    assert entropy(HALVES, unit='nats') == pytest.approx(math.log(2))


def test_information_against_scipy():
    a, b, f = triple(0)
    with_a = entropy_of(a) + entropy_of(f) - entropy_of(a, f)
    with_b = entropy_of(b) + entropy_of(f) - entropy_of(b, f)
    assert entropy(f) == pytest.approx(entropy_of(f))
    assert mutual_information(a, b, f) == pytest.approx(with_a + with_b)
    assert mutual_information(a, b, f, reduction='mean') == pytest.approx((with_a + with_b) / 2)
    assert mutual_information(a, b, f, unit='nats') == pytest.approx((with_a + with_b) * math.log(2))
    expected = 2 * with_a / (entropy_of(a) + entropy_of(f)) + 2 * with_b / (entropy_of(b) + entropy_of(f))
    assert normalized_mutual_information(a, b, f) == pytest.approx(expected)


def test_information_of_copies_is_their_entropy():
    a, _, _ = triple(1)
    assert mutual_information(a, a, a) == pytest.approx(2 * entropy(a))
    assert normalized_mutual_information(a, a, a) == pytest.approx(2)


def test_information_does_not_depend_on_the_order_of_gray_levels():
    a, b, f = triple(2)
    assert mutual_information(a, b, 255 - f) == pytest.approx(mutual_information(a, b, f))


def test_constant_images_carry_no_information():
    a = triple(3)[0]
    black = np.zeros_like(a)
    assert mutual_information(black, black, a) == 0
    assert mutual_information(a, a, black) == 0
    assert normalized_mutual_information(black, black, black) == 0


def test_cross_entropy_by_hand():
    # p = (3/4, 1/4) and (1/4, 3/4) over levels 0 and 255, q = (1/2, 1/2).
    first = np.array([[0, 0, 0, 255]] * 4, np.uint8)
    divergence = 0.75 * math.log2(1.5) + 0.25 * math.log2(0.5)
    assert cross_entropy(first, 255 - first, HALVES) == pytest.approx(divergence)
    assert cross_entropy(first, HALVES, HALVES) == pytest.approx(divergence / 2)
    assert cross_entropy(first, HALVES, HALVES, reduction='sum') == pytest.approx(divergence)
    assert cross_entropy(first, first, HALVES, unit='nats') == pytest.approx(
        stats.entropy([0.75, 0.25], [0.5, 0.5]), rel=1e-12
    )
    assert cross_entropy(first, first, first) == 0


def test_cross_entropy_leaves_out_levels_that_one_image_lacks():
    assert cross_entropy(BLACK, BLACK, np.full_like(BLACK, 9)) == 0
    assert cross_entropy(BLACK, BLACK, HALVES) == 1


def test_bad_variants_are_refused():
    a, b, f = triple(4)
    with pytest.raises(ValueError, match="unit must be one of .* found 'bytes'"):
        entropy(f, unit='bytes')
    with pytest.raises(ValueError, match="reduction must be one of .* found 'max'"):
        mutual_information(a, b, f, reduction='max')
    with pytest.raises(ValueError, match="found 'edge'"):
        feature_mutual_information(a, b, f, feature='edge')


def normalised_information(x, y):
    """FMI of one window as the authors' code computes it: loops over both of Frechet's bounds."""
    if np.array_equal(x, y):
        return 1.0
    p, q = ((np.ones(9) if np.ptp(w) == 0 else (w - w.min()) / np.ptp(w)) for w in (x.T.ravel(), y.T.ravel()))
    p, q = p / p.sum(), q / q.sum()
    correlation = 0.0 if np.ptp(p) < 1e-12 or np.ptp(q) < 1e-12 else np.corrcoef(p, q)[0, 1]
    cumulative_p, cumulative_q = np.concatenate([[0], np.cumsum(p)]), np.concatenate([[0], np.cumsum(q)])
    positions = np.arange(9)
    deviations = [np.sqrt((w * positions**2).sum() - (w * positions).sum() ** 2) for w in (p, q)]

    def bound(i, j):
        if correlation >= 0:
            return min(cumulative_p[i], cumulative_q[j])
        return max(cumulative_p[i] + cumulative_q[j] - 1, 0)

    covariance = sum(bound(i, j) - cumulative_p[i] * cumulative_q[j] for i in range(1, 10) for j in range(1, 10))
    usable = min(deviations) > 0 and correlation != 0
    phi = correlation / (covariance / (deviations[0] * deviations[1])) if usable else 0.0
    joint_entropy = 0.0
    for i in range(1, 10):
        for j in range(1, 10):
            mass = bound(i, j) - bound(i - 1, j) - bound(i, j - 1) + bound(i - 1, j - 1)
            entry = phi * mass + (1 - phi) * p[i - 1] * q[j - 1]
            joint_entropy -= entry * math.log2(abs(entry)) if abs(entry) > 1e-14 else 0
    entropies = stats.entropy(p, base=2) + stats.entropy(q, base=2)
    return 2 * (entropies - joint_entropy) / entropies if entropies > 0 else 0.0


@pytest.mark.parametrize('feature', ['pixel', 'gradient'])
def test_feature_information_against_loops(feature):
    rng = np.random.default_rng(5)
    a, b = (rng.integers(0, 40, (9, 8)).astype(np.uint8) for _ in range(2))
    b[:4, :4] = 7
    f = np.maximum(a, b)
    a[:5, 4:] = f[:5, 4:]
    maps = [image.astype(float) for image in (a, b, f)]
    if feature == 'gradient':
        maps = [np.sqrt(sum(g**2 for g in np.gradient(m))) for m in maps]
    values = [
        (normalised_information(x, z) + normalised_information(y, z)) / 2
        for x, y, z in (
            [m[i : i + 3, j : j + 3].astype(np.float32) for m in maps]
            for i in range(maps[0].shape[0] - 2)
            for j in range(maps[0].shape[1] - 2)
        )
    ]
    assert feature_mutual_information(a, b, f, feature=feature) == pytest.approx(np.mean(values), rel=1e-4)


def test_feature_information_of_copies_is_one():
    a, _, _ = triple(6)
    for feature in ('gradient', 'pixel', 'dct'):
        assert feature_mutual_information(a, a, a, feature=feature) == 1


def test_feature_information_does_not_depend_on_the_block_length(monkeypatch):
    a, b, f = triple(7)
    whole = feature_mutual_information(a, b, f)
    monkeypatch.setattr('mmdefusion.evaluation.functional.feature_information.BLOCK', 7)
    assert feature_mutual_information(a, b, f) == pytest.approx(whole, rel=1e-6)
