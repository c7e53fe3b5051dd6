# Copyright (c) mmdefusion authors. All rights reserved.
import json
from pathlib import Path

import numpy as np
import pytest

from mmdefusion.evaluation.ranking import RANKED_METRICS, MethodScores, rank_methods, ranking_table
from mmdefusion.evaluation.report import mean_scores

SCORES = Path(__file__).resolve().parents[3] / 'shared' / 'bench' / 'scores_dev.json'


def means(**values):
    return MethodScores(dict(zip(('MI', 'SSIM', 'Nabf'), values.pop('values'), strict=True)))


def test_mean_positions_by_hand():
    methods = dict(
        zeta=means(values=(3.0, 0.5, 0.1)),  # positions 1, 3 (tie, by name), 1 (lower is better)
        alpha=means(values=(2.0, 0.5, 0.3)),  # 2, 2, 3
        beta=means(values=(1.0, 0.9, 0.2)),  # 3, 1, 2
    )
    ranks = rank_methods(methods, ['MI', 'SSIM', 'Nabf'])
    assert list(ranks) == ['zeta', 'beta', 'alpha']
    assert [rank.position for rank in ranks.values()] == pytest.approx([5 / 3, 2, 7 / 3])
    assert all(rank.interval is None for rank in ranks.values())
    table = ranking_table(methods, ranks, ['MI', 'SSIM', 'Nabf'])
    assert table.splitlines() == [
        '| method | MI ↑ | SSIM ↑ | Nabf ↓ | mean rank ↓ |',
        '| --- | ---: | ---: | ---: | ---: |',
        '| zeta | **3.0000** | *0.5000* | **0.1000** | 1.67 |',
        '| beta | 1.0000 | **0.9000** | *0.2000* | 2.00 |',
        '| alpha | *2.0000* | *0.5000* | 0.3000 | 2.33 |',
    ]


def per_image(values):
    images = {str(index): {'MI': float(value)} for index, value in enumerate(values)}
    return MethodScores(mean_scores(images), images)


def test_bootstrap_intervals():
    rng = np.random.default_rng(0)
    scene = rng.normal(size=40)
    methods = dict(
        # Better on every image, however much images differ: its rank is certain.
        best=per_image(scene * 5 + 10),
        # One in two draws puts either of them first.
        left=per_image(rng.normal(size=40)),
        right=per_image(rng.normal(size=40)),
    )
    ranks = rank_methods(methods, ['MI'], num_samples=500)
    assert ranks['best'] == (1.0, (1.0, 1.0))
    assert ranks['left'].interval == ranks['right'].interval == (2.0, 3.0)
    assert rank_methods(methods, ['MI'], num_samples=500) == ranks  # seeded
    assert '| best | **' in ranking_table(methods, ranks, ['MI']) and '2.00 to 3.00' in ranking_table(
        methods, ranks, ['MI']
    )


def test_interval_agrees_with_a_plain_bootstrap():
    rng = np.random.default_rng(1)
    values = {name: rng.normal(shift, 1, 30) for name, shift in (('a', 0.0), ('b', 0.1), ('c', 0.3))}
    ranks = rank_methods({name: per_image(column) for name, column in values.items()}, ['MI'], num_samples=4000)
    positions = []
    for _ in range(4000):
        drawn = rng.integers(0, 30, 30)
        drawn_means = {name: column[drawn].mean() for name, column in values.items()}
        positions.append([sorted(values, key=drawn_means.get, reverse=True).index(name) + 1 for name in 'abc'])
    expected = np.quantile(positions, (0.025, 0.975), axis=0)
    for name, bounds in zip('abc', expected.T, strict=True):
        assert ranks[name].interval == tuple(bounds)


def test_published_means_stay_fixed_in_the_bootstrap():
    methods = dict(known=MethodScores({'MI': 0.0}), measured=per_image([-1, 3, -1, 3, -1, 3]))
    ranks = rank_methods(methods, ['MI'], num_samples=300)
    assert ranks['measured'] == (1.0, (1.0, 2.0)) and ranks['known'] == (2.0, (1.0, 2.0))


def test_what_cannot_be_ranked():
    method = per_image([1, 2])
    with pytest.raises(ValueError, match=r"\['EN'\] cannot rank"):
        rank_methods(dict(x=MethodScores({'EN': 1.0})), ['EN'])
    with pytest.raises(ValueError, match='x: the mean has no SSIM; found'):
        rank_methods(dict(x=method), ['MI', 'SSIM'])
    with pytest.raises(ValueError, match='x and y were scored on other images: 2'):
        rank_methods(dict(x=method, y=per_image([1, 2, 3])), ['MI'])
    with pytest.raises(ValueError, match='expected metrics and methods'):
        rank_methods({}, ['MI'])


@pytest.mark.skipif(not SCORES.exists(), reason='the benchmark is not here')
def test_rank_rule_on_published_means():
    published = json.loads(SCORES.read_text())['lytro20']
    ranks = rank_methods({name: MethodScores(mean) for name, mean in published.items()}, RANKED_METRICS['multi_focus'])
    expected = {name: 0.0 for name in published}
    for metric in ('NMI', 'VIF', 'Qabf', 'SSIM'):
        for place, name in enumerate(sorted(published, key=lambda name: (-published[name][metric], name)), 1):  # noqa: B023
            expected[name] += place / 4
    assert {name: rank.position for name, rank in ranks.items()} == pytest.approx(expected)
