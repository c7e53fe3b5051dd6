# Copyright (c) mmdefusion authors. All rights reserved.
"""A model whose results can be computed by hand, and its checkpoint."""

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import nn

from mmdefusion.registry import MODELS

# With the parts of a training config that fusing must pass over.
CONFIG = """
default_scope = 'mmdefusion'
model = dict(type='WeightedMean')
test_dataloader = dict(collate_fn=dict(type='default_collate'))
visualizer = dict(type='FusionLocalVisualizer', vis_backends=[dict(type='TensorboardVisBackend')])
"""


@MODELS.register_module()
class WeightedMean(BaseModel):
    """Fuses to ``w x1 + (1 - w) x2``; common is the minimum, unique what each has beyond it."""

    def __init__(self):
        super().__init__(data_preprocessor=dict(type='mmdefusion.FusionDataPreprocessor'))
        self.weight = nn.Parameter(torch.tensor(0.25))
        self.register_buffer('offset', torch.zeros(1))
        self.batches = []
        self.autocast = []

    def forward(self, inputs, data_samples, mode):
        assert mode == 'predict' and inputs.dtype == torch.float32
        self.batches.append(tuple(inputs.shape))
        self.autocast.append(torch.is_autocast_enabled('cpu'))
        x1, x2 = inputs.chunk(2, dim=1)
        common = torch.minimum(x1, x2)
        images = dict(
            pred_fused=self.weight * x1 + (1 - self.weight) * x2 + self.offset,
            pred_common=common,
            pred_unique1=x1 - common,
            pred_unique2=x2 - common,
        )
        for index, sample in enumerate(data_samples):
            sample.set_data({name: image[index] for name, image in images.items()})
        return data_samples


@pytest.fixture
def config():
    return Config.fromstring(CONFIG, '.py')


@pytest.fixture
def checkpoint(tmp_path):
    """Path of a checkpoint with ``w = 0.75`` that carries its config."""
    path = tmp_path / 'checkpoints' / 'mean.pth'
    path.parent.mkdir()
    weights = dict(weight=torch.tensor(0.75), offset=torch.zeros(1))
    torch.save(dict(state_dict=weights, message_hub=dict(runtime_info=dict(cfg=CONFIG))), path)
    return str(path)
