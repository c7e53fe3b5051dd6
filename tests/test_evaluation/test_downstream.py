# Copyright (c) mmdefusion authors. All rights reserved.
import json

import cv2
import pytest

from mmdefusion.evaluation.downstream import Run, read_curves, summarize, summary_table
from mmdefusion.visualization.learning_curves import write_learning_curves


def write_log(folder, lines):
    path = folder / '20260101_000000/vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return path


@pytest.fixture
def summary():
    runs = {
        'scratch': [Run(0, dict(mIoU=[(5, 1.0), (10, 20.0)]), 10.0), Run(1, dict(mIoU=[(5, 3.0), (10, 24.0)]), 14.0)],
        'pretrained': [Run(0, dict(mIoU=[(5, 30.0), (10, 29.0)]), 12.0)],
    }
    return summarize(runs, ['mIoU'])


def test_read_curves(tmp_path):
    lines = [
        {'loss': 2.0, 'step': 1},
        {'mIoU': 10.5, 'aAcc': 90.0, 'step': 5},
        {'mIoU': 11.0, 'aAcc': 91.0, 'step': 10},
    ]
    write_log(tmp_path, lines)
    assert read_curves(tmp_path, ['mIoU', 'aAcc']) == dict(mIoU=[(5, 10.5), (10, 11.0)], aAcc=[(5, 90.0), (10, 91.0)])
    with pytest.raises(ValueError, match=r"no values of \['mAP'\]; found \['aAcc', 'mIoU', 'step'\]"):
        read_curves(tmp_path, ['mAP'])
    with pytest.raises(ValueError, match='0 logs'):
        read_curves(tmp_path / 'elsewhere', ['mIoU'])


def test_summary(summary):
    scratch, pretrained = summary['scratch']['metrics']['mIoU'], summary['pretrained']['metrics']['mIoU']
    # The last validation counts, not the best one; the spread is that of a sample: sqrt((2 ** 2 + 2 ** 2) / 1).
    assert (scratch['mean'], scratch['std']) == (22.0, pytest.approx(8**0.5))
    assert (pretrained['mean'], pretrained['std'], pretrained['values']) == (29.0, None, [29.0])
    assert (summary['scratch']['seconds'], summary['scratch']['seeds']) == (12.0, [0, 1])
    json.dumps(summary)


def test_table(summary):
    assert summary_table(summary, dict(mIoU='mIoU %')).splitlines() == [
        '| variant | mIoU % | runs | seconds a run |',
        '|---|---|---|---|',
        '| scratch | 22.00 ± 2.83 | 2 | 12 |',
        '| pretrained | **29.00** | 1 | 12 |',
    ]


def test_curves_are_a_picture_and_always_the_same(summary, tmp_path):
    for name in ('a.png', 'b.png'):
        write_learning_curves(tmp_path / name, summary, 'mIoU', 'mIoU %', 'iteration')
    assert (tmp_path / 'a.png').read_bytes() == (tmp_path / 'b.png').read_bytes()
    picture = cv2.imread(str(tmp_path / 'a.png'))
    assert picture.shape[:2] == (600, 960) and picture.std() > 10
