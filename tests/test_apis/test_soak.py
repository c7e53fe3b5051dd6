# Copyright (c) mmdefusion authors. All rights reserved.
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name('soak_of_fusions.py')


@pytest.mark.skipif(not Path('/proc/self/statm').exists(), reason='memory is read from /proc')
def test_short_soak():
    environment = dict(os.environ, PYTHONPATH=str(SCRIPT.parents[2]), OMP_NUM_THREADS='1')
    command = [sys.executable, str(SCRIPT), '--fusions', '100']
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '100 fusions: ' in done.stdout
