# Copyright (c) mmdefusion authors. All rights reserved.
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
#: Half of the work; memory is not what an overlap is for.
NO_OVERLAP = ('--tile-overlap', '0')
pytestmark = pytest.mark.skipif(not Path('/proc/self/statm').exists(), reason='memory is read from /proc')


def run(script, *options):
    environment = dict(os.environ, PYTHONPATH=str(FOLDER.parents[1]), OMP_NUM_THREADS='1')
    command = [sys.executable, str(FOLDER / script), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def test_short_soak():
    done = run('soak_of_fusions.py', '--fusions', '100', '--every', '10')
    assert done.returncode == 0, done.stdout + done.stderr
    # Compared is with a fifth, not with the first report, when caches are still filling.
    assert '10 fusions: ' in done.stdout and ' open files after 20 fusions to ' in done.stdout
    assert done.stdout.rstrip().endswith(' after 100')


def test_memory_of_a_large_pair():
    # The network would take 2.5 GiB for whole images of 2048 x 2048. The budget is less than they take when decoded.
    done = run('soak_of_a_large_pair.py', '--size', '2048', '--limit', '640', '--memory-budget', '0.06', *NO_OVERLAP)
    assert done.returncode == 0, done.stdout + done.stderr
    peak = int(re.search(r'2048 x 2048 pixels: \d+ s, (\d+) MiB at the peak', done.stdout)[1])
    assert 100 < peak < 640
