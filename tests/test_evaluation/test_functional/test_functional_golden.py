# Copyright (c) mmdefusion authors. All rights reserved.
"""Agreement with the published benchmark's values; needs its images, which the project does not ship."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdefusion.evaluation.functional import evaluate_pair, to_luma

SHARED = Path(__file__).resolve().parents[4] / 'shared'
GOLDEN = SHARED / 'bench' / 'golden_metrics.json'
SCORES = SHARED / 'bench' / 'scores_dev.json'
TOLERANCE = 1e-3


def read(path):
    image = cv2.imread(str(path))
    assert image is not None, path
    return image


@pytest.mark.skipif(not GOLDEN.exists(), reason='the benchmark is not here')
def test_golden_values():
    entries = json.loads(GOLDEN.read_text())
    assert len(entries) == 24
    for entry in entries:
        a, b = (read(SHARED / 'data' / entry[key]) for key in 'ab')
        fused = read(SHARED / 'bench' / entry['fused'])
        values = evaluate_pair(a, b, fused, list(entry['values']))
        assert values == pytest.approx(entry['values'], rel=TOLERANCE), entry['fused']


@pytest.mark.skipif(not SCORES.exists(), reason='the benchmark is not here')
@pytest.mark.parametrize('method', ['average', 'maximum'])
def test_mean_scores_of_classical_methods(method):
    expected = json.loads(SCORES.read_text())['road50'][method]
    folder = SHARED / 'data' / 'roadscene'
    rows = []
    for name in (folder / 'test.txt').read_text().split():
        a, b = (to_luma(read(folder / source / f'{Path(name).stem}.jpg')) for source in ('ir', 'vi'))
        fused = np.maximum(a, b) if method == 'maximum' else np.rint((a.astype(float) + b) / 2).astype(np.uint8)
        rows.append(evaluate_pair(a, b, fused, [metric for metric in expected if metric != 'n']))
    assert len(rows) == expected.pop('n')
    mean = {name: np.mean([row[name] for row in rows]) for name in expected}
    assert mean == pytest.approx(expected, rel=TOLERANCE)
