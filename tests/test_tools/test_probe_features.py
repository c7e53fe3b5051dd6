# Copyright (c) mmdefusion authors. All rights reserved.
import importlib.util
import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data_root(tmp_path):
    """Two pairs in which a bright square of the first image is what the labels mark."""
    generator = np.random.default_rng(0)
    for folder in ('vi', 'ir', 'pseudo_labels'):
        (tmp_path / folder).mkdir()
    for index in range(2):
        image = generator.integers(0, 60, (80, 160, 3), np.uint8)
        label = np.zeros((80, 160), np.uint8)
        row, column = 16 * generator.integers(0, 4), 16 * generator.integers(0, 8)
        image[row : row + 32, column : column + 32] = 250
        label[row : row + 32, column : column + 32] = 1
        cv2.imwrite(str(tmp_path / f'vi/{index}.png'), image)
        cv2.imwrite(str(tmp_path / f'ir/{index}.png'), np.full((80, 160), 90, np.uint8))
        cv2.imwrite(str(tmp_path / f'pseudo_labels/{index}.png'), label)
    (tmp_path / 'train.txt').write_text('0\n1\n')
    (tmp_path / 'val.txt').write_text('1\n')
    return tmp_path


@pytest.fixture
def run(data_root, monkeypatch):
    path = ROOT / 'tools/analysis_tools/probe_features.py'
    spec = importlib.util.spec_from_file_location('probe_features', path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    options = ['--data-root', data_root, '--out-types', 'fused', '--classes', 'background', 'square']

    def main(*args):
        monkeypatch.setattr(sys, 'argv', [str(part) for part in (path, 'random', *options, *args)])
        tool.main()

    return main


def test_what_is_bright_is_read_from_random_features(run, data_root, capsys):
    run('--json', data_root / 'probe.json')
    (result,) = json.loads((data_root / 'probe.json').read_text())['results']
    assert (result['checkpoint'], result['out_type']) == ('random', 'fused')
    assert min(result['iou']) > 70
    row = f'| random | fused | {result["cross_entropy"]:.3f} | {result["iou"][0]:.1f} | {result["iou"][1]:.1f} |'
    assert capsys.readouterr().out.splitlines()[-1] == row


@pytest.mark.parametrize(
    ('break_data', 'message'),
    [
        (lambda root: (root / 'ir/1.png').unlink(), 'ir/1.*: no such image'),
        (lambda root: cv2.imwrite(str(root / 'ir/1.png'), np.zeros((80, 96))), 'expected one size of whole patches'),
        (
            lambda root: cv2.imwrite(str(root / 'pseudo_labels/1.png'), np.full((80, 160), 7)),
            'found label 7, expected 0',
        ),
    ],
)
def test_bad_data(run, data_root, break_data, message):
    break_data(data_root)
    with pytest.raises(SystemExit, match=re.escape(message)):
        run()
