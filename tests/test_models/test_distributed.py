# Copyright (c) mmdefusion authors. All rights reserved.
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import torch

SCRIPT = Path(__file__).with_name('gradients_of_two.py')


def test_two_processes_give_the_gradients_of_one(tmp_path):
    path = tmp_path / 'gradients.pth'
    processes = []
    for rank in range(2):
        environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(SCRIPT.parents[2]), RANK=str(rank))
        command = [sys.executable, SCRIPT, tmp_path / 'rendezvous', path]
        processes.append(subprocess.Popen(command, env=environment))
    assert [process.wait(timeout=200) for process in processes] == [0, 0]
    together = torch.load(path, weights_only=True)

    spec = importlib.util.spec_from_file_location('gradients_of_two', SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    model = script.make_model()
    sum(model(*script.make_batch(), mode='loss').values()).backward()
    for name, value in model.named_parameters():
        # Nothing is masked, so the mask token's gradient is zero.
        assert (together[name] - value.grad).abs().max() <= 1e-4 * value.grad.abs().max(), name
