# Copyright (c) mmdefusion authors. All rights reserved.
"""A model in a distributed test."""

from __future__ import annotations

from mmengine.structures import BaseDataElement
from torch import nn

from mmdefusion.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class InferenceModelWrapper(nn.Module):
    """Runs a model in each process of a test on its own: nothing is trained, so nothing has to be synchronised.

    ``DistributedDataParallel``, which MMEngine takes by default, refuses a model without weights.

    Args:
        module: The model.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def test_step(self, data: dict | tuple | list) -> list[BaseDataElement]:
        """Predicts, see the model's own ``test_step``."""
        return self.module.test_step(data)
