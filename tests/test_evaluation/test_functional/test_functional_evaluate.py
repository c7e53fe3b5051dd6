# Copyright (c) mmdefusion authors. All rights reserved.
"""Properties that every metric has, and the evaluation of a pair."""

import inspect
import math

import numpy as np
import pytest

from mmdefusion.evaluation.functional import FUSION_METRICS, LOWER_IS_BETTER, REFERENCE_METRICS, evaluate_pair

SHAPE = (163, 178)
NAMES = list(FUSION_METRICS)


def sources(seed=0, shape=SHAPE):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    a = 110 + 70 * np.sin(x / 9) + rng.normal(0, 10, shape)
    b = 90 + 50 * np.cos(y / 6) * np.sin(x / 13) + rng.normal(0, 10, shape)
    return tuple(np.clip(image, 0, 255).astype(np.uint8) for image in (a, b))


def average(a, b):
    return ((a.astype(int) + b) // 2).astype(np.uint8)


def degenerate():
    a, b = sources()
    black, white, gray = (np.full(SHAPE, level, np.uint8) for level in (0, 255, 77))
    dot = black.copy()
    dot[80, 90] = 1
    checker = ((np.indices(SHAPE).sum(axis=0) % 2) * 255).astype(np.uint8)
    return {
        'all identical': (a, a, a),
        'fused is a source': (a, b, a),
        'black source': (black, a, average(black, a)),
        'black sources': (black, black, a),
        'black fused': (a, b, black),
        'all black': (black, black, black),
        'all white': (white, white, white),
        'constants': (black, white, gray),
        'equal constants': (gray, gray, gray),
        'one pixel': (black, dot, dot),
        'inverted': (a, a, 255 - a),
        'checkerboard': (checker, 255 - checker, checker),
    }


@pytest.mark.parametrize('case', list(degenerate()))
def test_degenerate_images_have_finite_values(case):
    with np.errstate(all='raise', under='ignore'):
        values = evaluate_pair(*degenerate()[case])
    assert list(values) == NAMES
    assert all(type(value) is float and math.isfinite(value) for value in values.values()), values


def test_values_of_copies():
    a, _ = sources()
    values = evaluate_pair(a, a, a)
    ones = ['CC', 'SSIM', 'MS-SSIM', 'MEF-SSIM', 'MEF-MS-SSIM', 'FMI', 'Q_CB', 'Q_Y']
    assert {name: values[name] for name in ones} == pytest.approx(dict.fromkeys(ones, 1.0), rel=1e-6)
    assert values['MI'] == pytest.approx(2 * values['EN'])
    assert values['NMI'] == pytest.approx(2)
    assert values['VIF'] == pytest.approx(2, rel=1e-6)
    assert values['PSNR'] == 100
    assert [values[name] for name in ('CE', 'SCD', 'Nabf', 'Q_CV')] == [0, 0, 0, 0]
    assert values['Qabf'] == pytest.approx(0.9754, abs=1e-3)


def test_sources_are_interchangeable():
    a, b = sources(1)
    f = np.maximum(a, b)
    assert evaluate_pair(b, a, f) == pytest.approx(evaluate_pair(a, b, f), rel=1e-9)


def test_sharing_changes_no_value():
    a, b = sources(2)
    f = average(a, b)
    values = evaluate_pair(a, b, f)
    assert values == {name: metric(a, b, f) for name, metric in FUSION_METRICS.items()}
    assert evaluate_pair(a, b, f, NAMES[::-1]) == values


def test_images_are_left_as_they_were():
    a, b = sources(3)
    images = (a, b, average(a, b))
    before = [image.copy() for image in images]
    evaluate_pair(*images)
    assert all(np.array_equal(x, y) for x, y in zip(images, before, strict=True))


def test_float_and_colour_images_score_as_their_luma():
    a, b = sources(4)
    f = average(a, b)
    names = ['EN', 'MI', 'SSIM', 'VIF', 'Qabf']
    expected = evaluate_pair(a, b, f, names)
    assert evaluate_pair(a.astype(np.float32), b.astype(float), f, names) == expected
    assert evaluate_pair(np.repeat(a[..., None], 3, axis=2), b, np.repeat(f[..., None], 3, axis=2), names) == expected


def test_views_and_other_memory_orders_score_alike():
    a, b = sources(5)
    f = average(a, b)
    expected = evaluate_pair(a[:, ::-1].copy(), b[:, ::-1].copy(), f[:, ::-1].copy())
    assert evaluate_pair(a[:, ::-1], np.asfortranarray(b[:, ::-1]), f[:, ::-1]) == expected


def test_noise_moves_every_quality_metric_the_stated_way():
    a, _ = sources(6)
    noise = np.random.default_rng(7).normal(0, 1, SHAPE)
    weak, strong = (evaluate_pair(a, a, np.clip(a + s * noise, 0, 255).astype(np.uint8)) for s in (4, 30))
    # Statistics of the fused image alone grow with noise; the correlations of SCD are those of the noise.
    for name in set(NAMES) - {'EN', 'SD', 'SF', 'AG', 'SCD'}:
        if name in LOWER_IS_BETTER:
            assert weak[name] < strong[name], name
        else:
            assert weak[name] > strong[name], name


def test_variants_are_passed_on():
    a, b = sources(8)
    f = average(a, b)
    values = evaluate_pair(a, b, f, {'SSIM': {'reduction': 'sum'}, 'EN': {'unit': 'nats'}, 'SD': {}})
    plain = evaluate_pair(a, b, f, ['SSIM', 'EN', 'SD'])
    assert values == pytest.approx(
        {'SSIM': 2 * plain['SSIM'], 'EN': plain['EN'] * math.log(2), 'SD': plain['SD']}, rel=1e-12
    )


def test_metrics_have_one_signature():
    for metric in FUSION_METRICS.values():
        assert list(inspect.signature(metric).parameters)[:3] == ['a', 'b', 'f']
        assert 'Source' in metric.__doc__
    assert LOWER_IS_BETTER <= set(FUSION_METRICS) | set(REFERENCE_METRICS)
    assert not set(FUSION_METRICS) & set(REFERENCE_METRICS)


def test_tiny_images_score_or_say_what_they_need():
    for side in (1, 2, 3, 8, 16):
        a, b = sources(9, (side, side))
        for name in NAMES:
            try:
                value = evaluate_pair(a, b, average(a, b), [name])[name]
            except ValueError as error:
                assert str(error).startswith(f'{name} needs at least'), error
            else:
                assert math.isfinite(value), (name, side)


def test_failures():
    a, b = sources(10, (20, 20))
    with pytest.raises(ValueError, match=r"unknown metrics \['LPIPS'\]; known are \['EN', "):
        evaluate_pair(a, b, a, ['EN', 'LPIPS'])
    with pytest.raises(TypeError, match="found the string 'EN'"):
        evaluate_pair(a, b, a, 'EN')
    with pytest.raises(TypeError, match='reduce'):
        evaluate_pair(a, b, a, {'SSIM': {'reduce': 'sum'}})
    with pytest.raises(ValueError, match='must have one size'):
        evaluate_pair(a, b, a[1:], ['EN'])
    with pytest.raises(ValueError, match='fused image f: expected values'):
        evaluate_pair(a, b, a / 255.0, ['EN'])
