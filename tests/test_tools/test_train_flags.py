# Copyright (c) mmdefusion authors. All rights reserved.
import importlib.util
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

TRAIN = Path(__file__).resolve().parents[2] / 'tools/train.py'


@pytest.fixture
def load_config(tmp_path, monkeypatch):
    """Gives the config that ``tools/train.py`` makes of its arguments."""
    spec = importlib.util.spec_from_file_location('tools_train', TRAIN)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    config = tmp_path / 'config.py'
    Config(dict(load_from='pretext.pth', optim_wrapper=dict(type='OptimWrapper'))).dump(config)

    def load(*arguments):
        monkeypatch.setattr(sys, 'argv', ['train.py', str(config), '--work-dir', str(tmp_path / 'run'), *arguments])
        return tool.load_config(tool.parse_args())

    return load


def test_resume_starts_where_there_is_nothing_to_resume_from(load_config, tmp_path):
    cfg = load_config('--resume')
    assert (cfg.resume, cfg.load_from) == (False, 'pretext.pth')
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/last_checkpoint').write_text('iter_3.pth')
    cfg = load_config('--resume')
    assert (cfg.resume, cfg.load_from) == (True, None)
    cfg = load_config('--resume', 'other.pth')
    assert (cfg.resume, cfg.load_from) == (True, 'other.pth')


def test_wrong_use_is_one_sentence(run_tool, tiny_config):
    for arguments, message in (
        (('nowhere.py',), 'Error: nowhere.py: No such file or directory'),
        ((tiny_config, '--total-batch-size', '0'), 'Error: --total-batch-size is 0; expected a multiple'),
    ):
        result = run_tool('python', TRAIN, *arguments)
        assert result.returncode == 1 and 'Traceback' not in result.stderr and message in result.stderr


def test_compile_keeps_the_settings_of_the_config(load_config):
    assert 'compile' not in load_config()
    cfg = load_config('--compile')
    assert cfg.compile is True and cfg.custom_hooks == [dict(type='mmdefusion.CompileHook')]
    cfg = load_config('--compile', '--cfg-options', 'compile.mode=max-autotune')
    assert cfg.compile == dict(mode='max-autotune')
