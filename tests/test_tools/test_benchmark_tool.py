# Copyright (c) mmdefusion authors. All rights reserved.
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
_base_ = '{root}/configs/_base_/models/defusion-pp_nano.py'
arch = dict(_delete_=True, embed_dims=16, depth=2, num_heads=2, patch_size=4, window_size=4, cross_heads=2)
model = dict(backbone=dict(arch=arch), neck=dict(arch=arch))
"""


def test_report(run_tool, tmp_path):
    (tmp_path / 'tiny.py').write_text(CONFIG.format(root=ROOT))
    done = run_tool(
        *('python', ROOT / 'tools' / 'analysis_tools' / 'benchmark.py', 'tiny.py', '--sizes', '64x48', '128x96'),
        *('--sections', 'sizes', 'export', 'pretrain', '--repeats', '1', '--max-seconds', '2'),
        *('--crop-size', '32', '--batch-size', '2', '--threads', '1', '--out', 'report.json'),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / 'report.json').read_text())
    small, large = report['sizes']
    # Windows make the cost linear in pixels.
    assert large['gflop'] == pytest.approx(4 * small['gflop'])
    for found in report['sizes']:
        seconds = {name: timing['median'] for name, timing in found['seconds'].items()}
        assert found['times_faster_than_conv_stack'] == pytest.approx(seconds['conv_stack'] / seconds['network'])
        share = found['gflop'] / seconds['network'] / found['bfloat16_gflops']
        assert found['share_of_bfloat16_rate'] == pytest.approx(share)
        assert found['bfloat16_gflops'] == pytest.approx(2 * 2048**3 / 1e9 / seconds['bfloat16'])
    # The exported program computes the same.
    assert report['export']['largest_difference'] < 0.02
    found = report['pretrain']
    assert found['pairs_per_second'] == pytest.approx(2 / found['seconds']['median'])
    assert '1 threads' in report['environment'] and '64x48' in done.stdout


def test_wrong_size(run_tool):
    done = run_tool('python', ROOT / 'tools' / 'analysis_tools' / 'benchmark.py', 'a.py', '--sizes', '64')
    assert done.returncode == 2 and '64 is not WIDTHxHEIGHT' in done.stderr
