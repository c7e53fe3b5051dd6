# Copyright (c) mmdefusion authors. All rights reserved.
"""Random initialisation."""

from __future__ import annotations

from torch import nn

#: Last layers of a residual branch, by their names in this package.
_BRANCH_ENDS = ('proj', 'fc2')


def init_vit_weights(module: nn.Module) -> None:
    """Initialises as MAE does, but starts every residual branch close to zero.

    Xavier-uniform matrices, zero biases, patch embedding as a matrix, unit norms; the last matrix of each attention
    and MLP is made 50 times smaller. The network then starts as a plain path from patches to tokens to patches. With
    branches at full scale, the post-norm layers bury the patches under the windows' means, and hundreds of steps pass
    before the path is found.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, gain=0.02 if name.split('.')[-1] in _BRANCH_ENDS else 1.0)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight.data.flatten(1))
            nn.init.zeros_(layer.bias)
