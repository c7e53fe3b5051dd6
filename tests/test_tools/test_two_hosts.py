# Copyright (c) mmdefusion authors. All rights reserved.
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name('two_hosts.py')


def namespaces_allowed():
    """Whether this machine lets us make two hosts out of network namespaces."""
    if not all(map(shutil.which, ('unshare', 'nsenter', 'ip'))):
        return False
    command = ['unshare', '-rn', 'ip', 'link', 'add', 'fusion0', 'type', 'veth', 'peer', 'name', 'fusion1']
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


@pytest.mark.skipif(not Path('/proc/self/task').exists(), reason='processes are found in /proc')
def test_all_hosts_start_again_when_a_process_is_killed(tmp_path):
    hosts = 2 if namespaces_allowed() else 1
    environment = dict(os.environ, PYTHONPATH=str(SCRIPT.parents[2]), OMP_NUM_THREADS='1')
    command = [sys.executable, str(SCRIPT), str(tmp_path), '--hosts', str(hosts)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    outputs = [path.read_text() for path in sorted(tmp_path.glob('host*.txt'))]
    assert done.returncode == 0, '\n'.join([done.stdout, done.stderr, *outputs])
    assert done.stdout.splitlines() == ['killed a worker', 'trained to iteration 40']
    assert len(outputs) == hosts
    # Two processes found each other, and later went on from a checkpoint.
    assert 'GPU number: 2' in outputs[0] and 'resumed epoch: ' in outputs[0]
    assert (tmp_path / 'work_dir/last_checkpoint').read_text().endswith('iter_40.pth')
