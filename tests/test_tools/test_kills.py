# Copyright (c) mmdefusion authors. All rights reserved.
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name('soak_of_kills.py')


@pytest.mark.skipif(not Path('/proc/self/stat').exists(), reason='processor time is read from /proc')
def test_a_killed_training_ends_as_if_nothing_had_happened():
    environment = dict(os.environ, PYTHONPATH=str(SCRIPT.parents[2]), OMP_NUM_THREADS='1')
    command = [sys.executable, str(SCRIPT), '--kills', '2', '--epochs', '2', '--seed', '4']
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '2 kills' in done.stdout.splitlines()[-1]
