# Copyright (c) mmdefusion authors. All rights reserved.
import os
import socket
import sys

import pytest
import torch
from mmengine.registry import init_default_scope

# Test networks are so small that a second thread costs more than it does, above all on a busy machine.
torch.set_num_threads(1)
# Processes of one test meet on this machine; other interfaces may be slow to answer or closed.
if sys.platform == 'linux':
    os.environ.setdefault('GLOO_SOCKET_IFNAME', 'lo')


@pytest.fixture
def free_port():
    """A port of this machine that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return str(listener.getsockname()[1])


@pytest.fixture(scope='module', autouse=True)
def default_scope():
    """Runners of MMDetection and MMSegmentation leave their scope behind, in which our types have a prefix."""
    init_default_scope('mmdefusion')
