# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
from mmengine.model import MMDistributedDataParallel
from torch import nn


@pytest.fixture
def wrap():
    """Wraps a model as several processes do, without any."""

    def wrap_model(model, **attributes):
        wrapped = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
        nn.Module.__init__(wrapped)
        wrapped.module = model
        vars(wrapped).update(attributes)
        return wrapped

    return wrap_model
