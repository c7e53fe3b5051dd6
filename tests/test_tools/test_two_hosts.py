# Copyright (c) mmdefusion authors. All rights reserved.
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name('two_hosts.py')
pytestmark = pytest.mark.skipif(not Path('/proc/self/task').exists(), reason='processes are found in /proc')


def namespaces_allowed():
    """Whether this machine lets us make two hosts out of network namespaces."""
    if not all(map(shutil.which, ('unshare', 'nsenter', 'ip'))):
        return False
    command = ['unshare', '-rn', 'ip', 'link', 'add', 'fusion0', 'type', 'veth', 'peer', 'name', 'fusion1']
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


def train(folder, *options):
    """Trains in two processes, of which one is killed.

    Returns:
        What the script tells, and the output of each host.
    """
    environment = dict(os.environ, PYTHONPATH=str(SCRIPT.parents[2]), OMP_NUM_THREADS='1')
    command = [sys.executable, str(SCRIPT), str(folder), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    outputs = [path.read_text() for path in sorted(folder.glob('host*.txt'))]
    assert done.returncode == 0, '\n'.join([done.stdout, done.stderr, *outputs])
    # Two processes found each other, and later went on from a checkpoint.
    assert 'GPU number: 2' in outputs[0] and 'resumed epoch: ' in outputs[0]
    assert (folder / 'work_dir/last_checkpoint').read_text().endswith('iter_40.pth')
    return done.stdout.splitlines(), outputs


def test_all_start_again_when_a_process_is_killed(tmp_path):
    told, outputs = train(tmp_path, '--hosts', '1')
    assert told == ['killed a worker', 'trained to iteration 40']
    assert len(outputs) == 1 and 'GPU number: 1' not in outputs[0]
    # The new processes look for each other, not for those before them.
    assert 'connectFullMesh failed' not in outputs[0]


def test_one_host_goes_on_when_the_other_is_cut_off(tmp_path):
    if not namespaces_allowed():
        pytest.skip('network namespaces are not allowed here')
    told, outputs = train(tmp_path, '--hosts', '2', '--cut', '--answer-seconds', '10')
    assert told == ['killed a worker', 'cut the second host off', 'trained to iteration 40']
    # First both, and in the end one host alone with the whole batch.
    assert len(outputs) == 2 and outputs[0].rindex('GPU number: 1') > outputs[0].rindex('GPU number: 2')
