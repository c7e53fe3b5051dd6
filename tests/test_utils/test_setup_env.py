# Copyright (c) mmdefusion authors. All rights reserved.
import os
import platform
import subprocess
import sys

import pytest
from mmengine.config import Config

from mmdefusion.utils.setup_env import share_batch


@pytest.mark.parametrize(('launcher', 'expected'), [('pytorch', 3), ('none', 12)])
def test_processes_share_a_batch(monkeypatch, launcher, expected):
    monkeypatch.setenv('WORLD_SIZE', '4')
    cfg = Config(dict(launcher=launcher, train_dataloader=dict(batch_size=16)))
    share_batch(cfg, 12)
    assert cfg.train_dataloader.batch_size == expected


def test_unequal_parts_are_an_error(monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '4')
    cfg = Config(dict(launcher='pytorch', train_dataloader=dict(batch_size=16)))
    with pytest.raises(ValueError, match='--total-batch-size is 14; expected a multiple of the number of processes, 4'):
        share_batch(cfg, 14)


ALLOCATE = """
import re, sys
from pathlib import Path
import torch
from mmdefusion.utils.setup_env import keep_freed_memory

def resident():
    return int(re.search(r'VmRSS:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1]) / 1024

keep_freed_memory()
before = resident()
torch.zeros(100 * 2**18).add_(1)
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='parameters of glibc')
@pytest.mark.parametrize(('variables', 'kept'), [({}, True), ({'MALLOC_TRIM_THRESHOLD_': '131072'}, False)])
def test_freed_memory_is_kept_unless_the_user_says_otherwise(variables, kept):
    environment = {name: value for name, value in os.environ.items() if not name.startswith('MALLOC_')}
    result = subprocess.run(
        [sys.executable, '-c', ALLOCATE], env=environment | variables, capture_output=True, text=True, check=True
    )
    grown = float(result.stdout)
    assert grown > 95 if kept else grown < 20  # MiB, of 100
