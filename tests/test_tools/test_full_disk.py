# Copyright (c) mmdefusion authors. All rights reserved.
import errno
import importlib.util
import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmdefusion.testing import tiny_training_cfg
from mmdefusion.utils.tool_errors import errors_in_one_sentence

ROOT = Path(__file__).resolve().parents[2]
TRAIN = ROOT / 'tools/train.py'
# Arguments: size, folder of the file system, where what is left of it is kept, command.
ON_A_SMALL_DISK = 'mount -t tmpfs -o size=$0 small "$1" && { "${@:3}"; code=$?; cp -r "$1" "$2"; exit $code; }'


def mounts_allowed():
    """Whether this machine lets us mount a file system of our own."""
    if sys.platform != 'linux' or not shutil.which('unshare'):
        return False
    command = ['unshare', '-rm', 'mount', '-t', 'tmpfs', '-o', 'size=16k', 'small', '/mnt']
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


@pytest.fixture
def config(tmp_path):
    """A training whose log and scalars fill less than 100 KiB, and each of whose checkpoints more than a megabyte."""
    cfg = tiny_training_cfg(tmp_path, max_epochs=4)
    cfg.update(
        work_dir=str(tmp_path / 'disk/run'),
        visualizer=dict(type='FusionLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer'),
    )
    path = tmp_path / 'config.py'
    Config(cfg).dump(path)
    return path


@pytest.fixture
def train_on_a_small_disk(config, run_tool, tmp_path):
    """Trains with ``disk`` as a file system of some size; what it holds in the end is ``left``."""
    if not mounts_allowed():
        pytest.skip('a file system of its own is not allowed here')
    (tmp_path / 'disk').mkdir()

    def train(size, *options):
        command = ['unshare', '-rm', 'bash', '-c', ON_A_SMALL_DISK, size, tmp_path / 'disk', tmp_path / 'left']
        return run_tool(*command, sys.executable, TRAIN, config, *options)

    return train


def assert_one_sentence(done, sentence):
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr and 'Logging error' not in done.stderr
    assert done.stderr.rstrip().splitlines()[-1] == f'Error: {sentence}'


def test_no_room_for_a_checkpoint(train_on_a_small_disk, tmp_path):
    done = train_on_a_small_disk('2200k')
    assert_one_sentence(done, f'{tmp_path}/disk/run/iter_4.pth: cannot be written (No space left on device)')
    run = tmp_path / 'left/run'
    assert (run / 'last_checkpoint').read_text() == f'{tmp_path}/disk/run/iter_2.pth'
    assert sorted(path.name for path in run.glob('*.pth*')) == ['iter_2.pth']
    assert torch.load(run / 'iter_2.pth', weights_only=True)['meta']['iter'] == 2


def test_no_room_for_scalars(train_on_a_small_disk, tmp_path):
    (tmp_path / 'large').mkdir()
    out_dir = f'default_hooks.checkpoint.out_dir={tmp_path}/large'
    done = train_on_a_small_disk('56k', '--cfg-options', out_dir, 'default_hooks.checkpoint.interval=8')
    assert_one_sentence(done, f'{tmp_path}/disk/run: No space left on device')
    (scalars,) = (tmp_path / 'left/run').glob('*/vis_data/scalars.json')
    steps = [json.loads(line)['step'] for line in scalars.read_text().splitlines()[:-1]]
    assert steps == list(range(1, len(steps) + 1)) and 8 <= len(steps) < 40
    last = Path((tmp_path / 'left/run/last_checkpoint').read_text())
    assert torch.load(last, weights_only=True)['meta']['iter'] == len(steps) // 8 * 8


def test_no_folder_can_be_made(config, run_tool, tmp_path):
    done = run_tool('python', TRAIN, config, '--work-dir', tmp_path / 'config.py/run')
    assert_one_sentence(done, f'{tmp_path}/config.py: a file; expected a folder for the results')


def test_testing_says_so_too(config, monkeypatch):
    spec = importlib.util.spec_from_file_location('tools_test', ROOT / 'tools/test.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(sys, 'argv', ['test.py', str(config), '--work-dir', f'{config}/run'])
    with pytest.raises(SystemExit, match=f'^Error: {config}: a file; expected a folder for the results$'):
        tool.main()


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='needs a file that is always full')
def test_a_log_that_cannot_be_written_ends_the_run():
    log = logging.FileHandler('/dev/full')
    with pytest.raises(SystemExit, match=r'^Error: run: No space left on device$'), errors_in_one_sentence('run'):
        log.handle(logging.makeLogRecord(dict(msg='loss: 0.5')))


def test_other_errors_keep_their_traceback():
    for error in (BrokenPipeError(errno.EPIPE, 'Broken pipe'), RuntimeError('out of memory')):
        with pytest.raises(type(error)), errors_in_one_sentence('run'):
            raise error
    with pytest.raises(SystemExit, match='^Error: data/1.png: Permission denied$'), errors_in_one_sentence('run'):
        raise PermissionError(errno.EACCES, 'Permission denied', 'data/1.png')
