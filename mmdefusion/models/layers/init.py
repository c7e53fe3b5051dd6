# Copyright (c) mmdefusion authors. All rights reserved.
"""Random initialisation."""

from __future__ import annotations

from torch import nn


def init_vit_weights(module: nn.Module) -> None:
    """Initialises as MAE does: Xavier-uniform matrices, zero biases, patch embedding as a matrix, unit norms."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight.data.flatten(1))
            nn.init.zeros_(layer.bias)
