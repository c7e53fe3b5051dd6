# Copyright (c) mmdefusion authors. All rights reserved.
from pathlib import Path

import cv2

BROWSE = Path(__file__).resolve().parents[2] / 'tools/analysis_tools/browse_dataset.py'


def test_photos_and_their_views_are_written(tiny_config, run_tool, tmp_path):
    result = run_tool('python', BROWSE, tiny_config, '-o', tmp_path / 'seen', '--not-show', '-n', '2')
    assert result.returncode == 0, result.stderr
    names = sorted(path.name for path in (tmp_path / 'seen').iterdir())
    assert names == ['00000_00.png', '00001_01.png']
    panel = cv2.imread(str(tmp_path / 'seen' / names[0]))
    assert panel.shape[1] > 2.5 * panel.shape[0]  # photo and two views in a row
    # Seeded: a second look shows the same masks and noise.
    run_tool('python', BROWSE, tiny_config, '-o', tmp_path / 'again', '--not-show', '-n', '1')
    assert (cv2.imread(str(tmp_path / 'again' / names[0])) == panel).all()
