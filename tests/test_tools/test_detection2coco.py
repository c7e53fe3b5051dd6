# Copyright (c) mmdefusion authors. All rights reserved.
import json
from pathlib import Path

import cv2
import numpy as np

TOOL = Path(__file__).resolve().parents[2] / 'tools/dataset_converters/detection2coco.py'


def test_a_tree_of_ones_own(run_tool, tmp_path):
    image = np.zeros((20, 20), np.uint8)
    image[2:18, 2:18] = 1
    image[10] = 0
    for name in ('a', 'b'):
        for side in ('vi', 'ir', 'masks'):
            (tmp_path / 'data' / side).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / 'data' / side / f'{name}.png'), image)
    (tmp_path / 'data/train.txt').write_text('b\n')
    paths = ('--visible', 'vi/{name}.png', '--infrared', 'ir/{name}.png', '--labels', 'masks/{name}.png')
    command = ('python', TOOL, 'msrs', 'data', '--out-dir', 'out', '--split', 'train', '--names', 'train.txt', *paths)
    result = run_tool(*command, '--min-area', '200', '--max-gap', '1')
    assert result.returncode == 0, result.stderr
    assert 'train: 1 pairs, 0 pairs without boxes, 1 boxes, 0 person, 1 car' in result.stdout
    assert json.loads((tmp_path / 'out/visible_train.json').read_text())['images'][0]['file_name'] == 'vi/b.png'
    (tmp_path / 'data/ir/b.png').unlink()
    result = run_tool(*command)
    assert result.returncode == 1 and 'Traceback' not in result.stderr
    assert 'Error: train: 1 pairs cannot be used:\n  data/ir/b.png: no such image' in result.stderr


def test_found_and_published_pairs(run_tool, tmp_path):
    for path in ('visible/test/1.jpg', 'infrared/test/1.jpg'):
        (tmp_path / 'data' / path).parent.mkdir(parents=True)
        cv2.imwrite(str(tmp_path / 'data' / path), np.zeros((20, 20), np.uint8))
    (tmp_path / 'data/Annotations').mkdir()
    box = '<xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax>'
    (tmp_path / 'data/Annotations/1.xml').write_text(
        f'<annotation><object><name>person</name><bndbox>{box}</bndbox></object></annotation>'
    )
    result = run_tool('python', TOOL, 'llvip', 'data', '--split', 'test')
    assert result.returncode == 0, result.stderr
    assert 'test: 1 pairs (3463 published), 0 pairs without boxes, 1 boxes, 1 person' in result.stdout
    assert '1/1' in result.stderr  # progress


def test_wrong_use(run_tool):
    result = run_tool('python', TOOL, 'llvip', 'data', '--visible', 'vi/{name}.png')
    assert result.returncode == 2 and '--visible needs --split' in result.stderr
    result = run_tool('python', TOOL, 'msrs', 'data', '--split', 'train', '--max-gap', '-1')
    assert result.returncode == 2 and '--max-gap: found -1; expected 0 or more' in result.stderr
