# Copyright (c) mmdefusion authors. All rights reserved.
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmdefusion.engine import EMAHook

SCRIPT = Path(__file__).with_name('deepspeed_training.py')


def test_trains(tmp_path, free_port):
    if importlib.util.find_spec('deepspeed') is None:
        pytest.skip('deepspeed is not installed')
    if importlib.util.find_spec('deepspeed.runtime.fp16.onebit') is None:
        pytest.skip('MMEngine 0.10 needs deepspeed older than 0.19')
    environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(SCRIPT.parents[2]))
    command = [sys.executable, str(SCRIPT), str(tmp_path), free_port]
    # On a CPU it compiles an extension first.
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / 'work_dir/last_checkpoint').read_text() == str(tmp_path / 'work_dir/iter_10.pth')
    assert list((tmp_path / 'work_dir/iter_10.pth').iterdir())


def test_averaged_weights_that_would_not_be_saved_are_an_error():
    strategy = type('DeepSpeedStrategy', (), {})()
    with pytest.raises(ValueError, match="does not save averaged weights: remove EMAHook from 'custom_hooks'"):
        EMAHook().before_run(SimpleNamespace(strategy=strategy))
