# Copyright (c) mmdefusion authors. All rights reserved.
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mmdefusion.engine import EMAHook

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name('deepspeed_training.py')


def test_two_processes_have_the_weights_of_one(tmp_path, free_port):
    if importlib.util.find_spec('deepspeed') is None:
        pytest.skip('deepspeed is not installed')
    if importlib.util.find_spec('deepspeed.runtime.fp16.onebit') is None:
        pytest.skip('MMEngine 0.10 needs deepspeed older than 0.19')
    environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=os.pathsep.join([str(ROOT), *sys.path]))
    for name, *resume in (['whole'], ['resumed', 'whole/iter_4.pth']):
        command = [sys.executable, str(SCRIPT), str(tmp_path), free_port, name, *resume]
        # On a CPU it compiles an extension first.
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
        assert done.returncode == 0, done.stdout + done.stderr
        folder = tmp_path / name
        assert (folder / 'last_checkpoint').read_text() == str(folder / 'iter_10.pth')
        # A model, and a part of the optimizer state for each process.
        assert len(list((folder / 'iter_10.pth').iterdir())) == 3
        expected = torch.load(tmp_path / 'one/iter_10.pth', map_location='cpu', weights_only=True)['state_dict']
        weights = torch.load(tmp_path / f'{name}.pth', weights_only=True)
        assert weights.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(weights[key], value, rtol=0, atol=1e-5, msg=f'{name}: {key}')


def test_averaged_weights_that_would_not_be_saved_are_an_error():
    strategy = type('DeepSpeedStrategy', (), {})()
    with pytest.raises(ValueError, match="does not save averaged weights: remove EMAHook from 'custom_hooks'"):
        EMAHook().before_run(SimpleNamespace(strategy=strategy))
