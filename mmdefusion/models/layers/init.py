# Copyright (c) mmdefusion authors. All rights reserved.
"""Initialisation: the network starts as a rough autoencoder of patches and learns what to exchange.

Patches of photos are ill-conditioned: their mean carries most of the energy, their fine detail little. Behind a random
projection, gradient descent finds the mean at once and the detail long after. In the basis of the cosine transform the
coefficients are nearly uncorrelated, and each step serves all of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: Last layers of a residual branch, by their names in this package.
_BRANCH_ENDS = ('proj', 'fc2')
#: Scale of a patch's mean: small beside the positions, so that layer norms are nearly linear and keep brightness.
_EMBED_SCALE = 0.15
#: Standard deviation over channels of a token at the start; the positions' root mean square is sqrt(1 / 2).
_TOKEN_STD = 0.73


def cosine_code(patch_size: int, channels: int, dims: int) -> tuple[Tensor, Tensor]:
    """A linear code of patches: opponent colours times the 2-D cosine transform (DCT-II), low frequencies first.

    The coefficient of frequency f is scaled by 1 + f, since the spectrum of photos falls like 1 / f. The lowest
    frequencies go to those token dimensions in which the fixed positions vary least.

    Args:
        patch_size: Side p of a patch.
        channels: Channels C of an image.
        dims: Width D of a token.

    Returns:
        Encoder (D, C*p*p), whose rows beyond the number of coefficients are zero, and decoder (C*p*p, D). The decoder
        undoes the encoder on the coefficients that fit into D.
    """
    index = torch.arange(patch_size, dtype=torch.float64)
    cosines = torch.cos(math.pi * (index + 0.5) * index[:, None] / patch_size)
    cosines = cosines / cosines.norm(dim=1, keepdim=True)
    if channels == 3:
        colors = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]], dtype=torch.float64)
        colors = colors / colors.norm(dim=1, keepdim=True)
    else:
        colors = torch.eye(channels, dtype=torch.float64)
    basis = torch.einsum('gc,ui,vj->guvcij', colors, cosines, cosines).reshape(channels * patch_size**2, -1)
    frequency = (index**2 + index[:, None] ** 2).sqrt()
    # The eye resolves chroma half as finely as luma, and photos hold little of it.
    cost = torch.stack([frequency] + [2 * frequency + 4] * (channels - 1)).flatten()
    kept = cost.argsort(stable=True)[:dims]
    scale = _EMBED_SCALE * (1 + frequency.repeat(channels, 1, 1).flatten()[kept])
    # Of each quarter (sine and cosine of column and row) the last dimensions have the lowest frequency.
    place = torch.arange(dims).view(4, -1).flip(1).T.flatten()[: len(kept)]
    encoder = torch.zeros(dims, basis.size(1), dtype=torch.float64)
    decoder = torch.zeros(basis.size(1), dims, dtype=torch.float64)
    encoder[place] = scale[:, None] * basis[kept]
    decoder[:, place] = basis[kept].T / scale
    return encoder.float(), decoder.float()


def init_vit_weights(module: nn.Module) -> None:
    """Xavier-uniform matrices and zero biases as in MAE, but residual branches close to zero.

    The last matrix of each attention and MLP is made 50 times smaller; at full scale, the post-norm layers bury the
    patches under the means of their windows.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, gain=0.02 if name.split('.')[-1] in _BRANCH_ENDS else 1.0)
            nn.init.zeros_(layer.bias)


@torch.no_grad()
def init_patch_embed(proj: nn.Conv2d) -> None:
    """Makes tokens hold the coefficients of the lowest frequencies."""
    encoder, _ = cosine_code(proj.kernel_size[0], proj.in_channels, proj.out_channels)
    proj.weight.copy_(encoder.view_as(proj.weight))
    nn.init.zeros_(proj.bias)


@torch.no_grad()
def init_pixel_head(pred: nn.Linear, patch_size: int, mean: Tensor, std: Tensor, gain: float) -> None:
    """Makes the linear map from tokens to pixels undo :func:`init_patch_embed`.

    Args:
        pred: Linear map D -> C*p*p.
        patch_size: Side p of a patch.
        mean: Mean that the encoder subtracts from each channel, (C,).
        std: Standard deviation that it divides by, (C,).
        gain: One over the number of normalised tokens that are summed up before the map.
    """
    _, decoder = cosine_code(patch_size, len(mean), pred.in_features)
    pred.weight.copy_(gain * _TOKEN_STD * std.repeat_interleave(patch_size**2)[:, None] * decoder)
    pred.bias.copy_(mean.repeat_interleave(patch_size**2))
