# Copyright (c) mmdefusion authors. All rights reserved.
import json
import runpy
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

BF16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
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
        precision = found['precision']
        assert precision == ('bfloat16' if BF16 else 'float32')
        rate = found[f'{precision}_gflops']
        assert rate == pytest.approx(2 * 2048**3 / 1e9 / seconds[precision])
        assert found['share_of_matrix_rate'] == pytest.approx(found['gflop'] / seconds['network'] / rate)
        # Where bfloat16 is emulated its products would take minutes, so they are not timed.
        assert ('bfloat16' in seconds) == BF16 and 'float32' in seconds
    # The exported program computes the same.
    assert report['export']['largest_difference'] < 0.02
    found = report['pretrain']
    assert found['pairs_per_second'] == pytest.approx(2 / found['seconds']['median'])
    assert '1 threads' in report['environment'] and '64x48' in done.stdout


def test_compiled_form(tmp_path, monkeypatch, capsys):
    (tmp_path / 'tiny.py').write_text(CONFIG.format(root=ROOT))
    # Traced as for the default backend, but run without a C++ compiler.
    monkeypatch.setattr(torch, 'compile', partial(torch.compile, backend='aot_eager'))
    monkeypatch.setattr(shutil, 'which', lambda name: name)
    report = tmp_path / 'report.json'
    tool = str(ROOT / 'tools' / 'analysis_tools' / 'benchmark.py')
    arguments = [str(tmp_path / 'tiny.py'), '--sections', 'compile', '--sizes', '64x48', '--repeats', '2']
    monkeypatch.setattr(sys, 'argv', [tool, *arguments, '--precision', 'float32', '--out', str(report)])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(tool, run_name='__main__')
    assert done.value.code == 0
    found = json.loads(report.read_text())['compile']
    assert found['largest_difference'] < 1e-4
    eager, other = (found['seconds'][name]['median'] for name in ('eager', 'other'))
    assert found['times_faster_than_eager'] == pytest.approx(eager / other)
    assert f'compile: {eager / other:.2f} times as fast as eager at 64x48' in capsys.readouterr().out


def count_operations(run_tool, tmp_path, arch, *options):
    done = run_tool(
        *('python', ROOT / 'tools' / 'analysis_tools' / 'benchmark.py'),
        ROOT / 'configs' / '_base_' / 'models' / f'defusion-pp_{arch}.py',
        *('--sections', 'operations', '--threads', '1', '--out', 'report.json', *options),
    )
    assert done.returncode == 0, done.stderr
    return json.loads((tmp_path / 'report.json').read_text())['operations'], done.stdout


def test_attention_of_nano_is_linear_in_pixels(run_tool, tmp_path):
    found, output = count_operations(run_tool, tmp_path, 'nano', '--memory-budget', 'inf')
    small, *others = found
    # 300 tokens of 192 values look at 25 each, 25 times: four blocks of the encoder for either source, five layers of
    # decomposition and two of fusion in each of two streams, two blocks behind it and one of the decoder. Two products
    # each, an addition is one operation.
    assert small['size'] == '320x240'
    assert small['attention_gflop'] == pytest.approx(25 * 300 * 25 * 192 * 2 * 2 / 1e9)
    assert [line['size'] for line in others] == ['640x480', '1920x1080', '3840x2160']
    for line in others:
        # 1080 rows are padded to fourteen windows of 80.
        padding = 1120 / 1080 if line['size'] == '1920x1080' else 1
        expected = padding * small['attention_gflop_per_megapixel']
        assert line['attention_gflop_per_megapixel'] == pytest.approx(expected)
        assert line['gflop_per_megapixel'] == pytest.approx(small['gflop_per_megapixel'], rel=0.04)
        assert line['gflop'] == pytest.approx(sum(line['flops'].values()) / 1e9)
    assert '3840x2160, whole: attention 15.55 GFLOP (1.88 a megapixel)' in output


def test_tiles_bound_the_attention_of_tiny(run_tool, tmp_path):
    found, output = count_operations(run_tool, tmp_path, 'tiny', '--sizes', '640x480', '3840x2160')
    small, whole, tiles = found
    # Global attention is quadratic: 27 times the tokens, 27^2 times the operations.
    assert whole['attention_gflop'] == pytest.approx(27**2 * small['attention_gflop'])
    assert tiles['form'] == 'tiles' and tiles['tiles'] > 1
    assert tiles['attention_gflop'] < 0.4 * whole['attention_gflop']
    assert f'3840x2160, {tiles["tiles"]} tiles: attention' in output


def test_what_cannot_end_well_does_not_begin(run_tool, tmp_path):
    (tmp_path / 'file').write_text('')
    for options, message in (
        (('--repeats', '0'), '--repeats, --batch-size and --crop-size count from 1'),
        (('--out', 'file/report.json'), 'file: a file; expected a folder for the results'),
    ):
        result = run_tool('python', ROOT / 'tools' / 'analysis_tools' / 'benchmark.py', 'a.py', *options)
        assert result.returncode == 2 and message in result.stderr


def test_wrong_size(run_tool):
    done = run_tool('python', ROOT / 'tools' / 'analysis_tools' / 'benchmark.py', 'a.py', '--sizes', '64')
    assert done.returncode == 2 and '64 is not WIDTHxHEIGHT' in done.stderr
