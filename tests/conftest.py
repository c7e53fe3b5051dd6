# Copyright (c) mmdefusion authors. All rights reserved.
import socket

import pytest
import torch

# Test networks are so small that a second thread costs more than it does, above all on a busy machine.
torch.set_num_threads(1)


@pytest.fixture
def free_port():
    """A port of this machine that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return str(listener.getsockname()[1])
