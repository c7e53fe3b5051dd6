# Copyright (c) mmdefusion authors. All rights reserved.
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdefusion.datasets.converters.object_boxes import ObjectBox
from mmdefusion.evaluation.box_contrast import BoxContrast, contrast_in_boxes, contrast_in_folders

ROOT = Path(__file__).resolve().parents[2]


def stripes(gain, size=(20, 40)):
    """Gray 100 plus and minus a gain in the left half, flat in the right one: standard deviation ``gain`` there."""
    image = np.full(size, 100, np.uint8)
    image[:, :20:2] += gain
    image[:, 1:20:2] -= gain
    return image


def test_contrast_is_the_standard_deviation_inside_the_box():
    boxes = [ObjectBox('person', 0, 0, 10, 20), ObjectBox('car', 10.4, 0, 30.4, 50), ObjectBox('car', 50, 5, 60, 9)]
    left, across = contrast_in_boxes(stripes(10), stripes(4), stripes(8), boxes, 'x')
    assert left == BoxContrast('x', 'person', 10, 4, 8) and left.ratio == pytest.approx(0.8)
    # Half of the second box, cut off at the lower border, is flat; the third lies outside.
    assert across[:2] == ('x', 'car')
    assert across[2:] == pytest.approx([gain / 2**0.5 for gain in (10, 4, 8)])


def test_flat_boxes_have_nothing_to_lose():
    assert BoxContrast('x', '0', 0.0, 0.0, 0.0).ratio == 1


def test_sizes_must_agree():
    with pytest.raises(ValueError, match='must have one size'):
        contrast_in_boxes(stripes(1), stripes(1), stripes(1, (20, 30)), [])


@pytest.fixture
def folders(tmp_path):
    for folder, gain in dict(a=10, b=4, fused=9).items():
        (tmp_path / folder).mkdir()
        for name in ('one', 'two'):
            cv2.imwrite(str(tmp_path / folder / f'{name}.png'), stripes(gain if name == 'one' else 20 - gain))
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels/one.txt').write_text('0 0.25 0.5 0.5 1\n2 0.125 0.5 0.25 1\n')
    (tmp_path / 'labels/two.txt').write_text('0 0.25 0.5 0.5 1\n')
    return [tmp_path / name for name in ('a', 'b', 'fused', 'labels')]


def test_folders(folders):
    records = contrast_in_folders(*folders, 'yolo')
    assert [(record.name, record.label) for record in records] == [('one', '0'), ('one', '2'), ('two', '0')]
    assert [record.ratio for record in records] == pytest.approx([0.9, 0.9, 11 / 16])
    assert len(contrast_in_folders(*folders, 'yolo', names=['one'], classes=['2'])) == 1
    with pytest.raises(ValueError, match='no box of 7'):
        contrast_in_folders(*folders, 'yolo', classes=['7'])
    (folders[2] / 'two.png').unlink()
    with pytest.raises(ValueError, match=r'two\.\*: no such image'):
        contrast_in_folders(*folders, 'yolo')


def test_masks_of_specks_and_pieces(folders):
    labels = folders[3]
    for name in ('one', 'two'):
        mask = np.zeros((20, 40), np.uint8)
        mask[0:4, 0:10] = mask[6:20, 0:10] = 1  # pieces of one object
        mask[0, 30] = 1  # a speck where every image is flat
        cv2.imwrite(str(labels / f'{name}.png'), mask)
    records = contrast_in_folders(*folders, 'mask', names=['one'])
    assert [(record.a, record.ratio) for record in records] == [(10, 0.9), (0, 1), (10, 0.9)]
    records = contrast_in_folders(*folders, 'mask', min_area=2, max_gap=2)
    assert [record.ratio for record in records] == pytest.approx([0.9, 11 / 16])


def test_command_for_masks(folders):
    named = zip(('a', 'b', 'fused', 'labels'), folders, strict=True)
    command = [sys.executable, ROOT / 'tools/analysis_tools/box_contrast.py', '--format', 'mask']
    command += [part for name, folder in named for part in (f'--{name}', folder)]
    mask = np.zeros((20, 40), np.uint8)
    mask[:8, :20] = mask[10:, :20] = 1
    cv2.imwrite(str(folders[3] / 'one.png'), mask)
    for area, gap, count in ((160, 1, 2), (161, 1, 1), (360, 2, 1)):
        run = subprocess.run([*command, '--min-area', str(area), '--max-gap', str(gap)], capture_output=True, text=True)
        assert f'| all | {count} | 0% | 0.900 | 0.900 |' in run.stdout, run.stderr
    run = subprocess.run([*command, '--min-area', '361', '--max-gap', '2'], capture_output=True, text=True)
    assert run.returncode == 1 and 'no box of any class' in run.stderr


def test_command(folders, tmp_path):
    flags = [
        part
        for name, folder in zip(('a', 'b', 'fused', 'labels'), folders, strict=True)
        for part in (f'--{name}', folder)
    ]
    tool = ROOT / 'tools/analysis_tools/box_contrast.py'
    output = tmp_path / 'boxes.json'
    run = subprocess.run([sys.executable, tool, *flags, '--json', output], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert '| all | 3 | 0% | 0.900 | 0.730 |' in run.stdout
    assert json.loads(output.read_text())['boxes'][0]['fused'] == 9
    run = subprocess.run([sys.executable, tool, *flags, '--max-gap', '-1'], capture_output=True, text=True)
    assert run.returncode == 2 and '--max-gap: found -1; expected 0 or more' in run.stderr
    run = subprocess.run([sys.executable, tool, *flags, '--format', 'voc'], capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.startswith('Error: ') and 'no *.xml' in run.stderr
