# Copyright (c) mmdefusion authors. All rights reserved.
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmdefusion import cli
from mmdefusion.apis import fusion_inferencer
from mmdefusion.utils.image_io import read_image, write_image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for side in ('vi', 'ir'):
        for name in '123':
            write_image(tmp_path / side / f'{name}.png', rng.integers(0, 256, (6, 7, 3), dtype=np.uint8))
    return [str(tmp_path / 'vi'), str(tmp_path / 'ir')]


def run(folders, checkpoint, out, *options):
    return cli.main(['fuse', *folders, '-o', str(out), '--weights', checkpoint, '--device', 'cpu', *options])


def test_choices_are_those_of_the_inferencer():
    assert cli.COLOR_MODES == fusion_inferencer.COLOR_MODES
    assert cli.PRECISIONS == fusion_inferencer.PRECISIONS


def test_folders(folders, checkpoint, tmp_path, capsys):
    assert run(folders, checkpoint, tmp_path / 'out') == 0
    assert sorted(os.listdir(tmp_path / 'out')) == ['1.png', '2.png', '3.png']
    assert f'3 of 3 pairs fused into {tmp_path}/out' in capsys.readouterr().out


def test_suffixes(folders, checkpoint, tmp_path):
    for index, side in enumerate(('_RGB', '_PreviewData')):
        Path(folders[index], '1.png').rename(tmp_path / f'FLIR_1{side}.png')
    sources = [str(tmp_path), str(tmp_path)]
    assert run(sources, checkpoint, tmp_path / 'out', '--suffixes', '_RGB', '_PreviewData') == 0
    assert os.listdir(tmp_path / 'out') == ['FLIR_1_RGB.png']


def test_files_and_options(folders, checkpoint, tmp_path):
    pair = [f'{folders[0]}/1.png', f'{folders[1]}/1.png']
    options = ['--color', 'rgb', '--parts', '--batch-size', '4', '--precision', 'float32']
    assert run(pair, checkpoint, tmp_path / 'out', *options) == 0
    assert sorted(os.listdir(tmp_path / 'out')) == ['1.png', 'common', 'panel', 'unique1', 'unique2']
    image1, image2 = (read_image(path).bgr.astype(np.float32) for path in pair)
    fused = read_image(tmp_path / 'out' / '1.png').bgr
    np.testing.assert_allclose(fused, 0.75 * image1 + 0.25 * image2, atol=0.501)


def test_bad_pairs_are_reported_and_the_others_are_done(folders, checkpoint, tmp_path, capsys):
    Path(folders[1], '2.png').write_bytes(b'')
    Path(folders[1], '3.png').unlink()
    assert run(folders, checkpoint, tmp_path / 'out') == 1
    assert os.listdir(tmp_path / 'out') == ['1.png']
    captured = capsys.readouterr()
    assert '1 of 3 pairs fused' in captured.out
    # MMEngine's logger may complain before, about the closed output of an earlier test.
    assert '2 could not be fused:\n' in captured.err
    lines = captured.err.partition('2 could not be fused:\n')[2].splitlines()
    assert sorted(line.split(';')[0] for line in lines) == [
        f'  {folders[1]}/2.png: the file is empty (0 bytes)',
        f'  {folders[1]}/3.*: no such image',
    ]


def test_missing_weights(folders, tmp_path, capsys):
    assert cli.main(['fuse', *folders, '-o', str(tmp_path / 'out'), '--weights', 'nowhere.pth']) == 2
    assert 'error: nowhere.pth: no such checkpoint' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--device', 'foo'), "device 'foo' cannot be used"),
        (('--device', 'cuda:99'), "device 'cuda:99' cannot be used"),
        (('--model', 'broken.py'), 'broken.py: cannot be read as a config (SyntaxError'),
        (('--model', 'other.py'), "other.py: a config without a model; found ['a']"),
    ],
)
def test_what_cannot_start_is_one_sentence(folders, checkpoint, tmp_path, options, message, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'broken.py').write_text('model = dict(')
    (tmp_path / 'other.py').write_text('a = 1')
    assert cli.main(['fuse', *folders, '-o', 'out', '--weights', checkpoint, *options]) == 2
    assert f'mmdefusion fuse: error: {message}' in capsys.readouterr().err


def test_sources_are_not_overwritten(folders, checkpoint, capsys):
    assert run(folders, checkpoint, folders[1]) == 2
    assert 'ir/1.png: would overwrite a source' in capsys.readouterr().err


def test_missing_file_is_reported_as_a_bad_pair(folders, checkpoint, tmp_path, capsys):
    assert run([f'{folders[0]}/9.png', f'{folders[1]}/1.png'], checkpoint, tmp_path / 'out') == 1
    assert 'vi/9.png: cannot be opened' in capsys.readouterr().err


@pytest.mark.parametrize('options', [['--batch-size', '0'], ['--color', 'lab'], ['--precision', 'int8']])
def test_wrong_arguments(folders, checkpoint, tmp_path, options, capsys):
    with pytest.raises(SystemExit) as caught:
        run(folders, checkpoint, tmp_path / 'out', *options)
    assert caught.value.code == 2


def test_tool_is_the_same_command(tmp_path):
    tool = str(ROOT / 'tools' / 'fuse.py')
    command = [sys.executable, tool, 'vi', 'ir', '--out-dir', str(tmp_path / 'out'), '--weights', 'none.pth']
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert 'mmdefusion fuse: error: none.pth: no such checkpoint' in done.stderr
