# Copyright (c) mmdefusion authors. All rights reserved.
"""Masking of token sequences: which tokens stay, and a learned token in the places of the others."""

from __future__ import annotations

import torch
from torch import Tensor


def check_mask_ratio(mask_ratio: float) -> float:
    """Gives a share of tokens back.

    Raises:
        ValueError: It does not lie between 0 and 1.
    """
    if not 0 < mask_ratio < 1:
        raise ValueError(f'mask_ratio must lie between 0 and 1, got {mask_ratio}')
    return mask_ratio


def draw_visible(batch: int, num_windows: int, length: int, mask_ratio: float, device: torch.device) -> Tensor:
    """Draws the positions that stay, as many in every window, for each sample of its own.

    Args:
        batch: Samples N.
        num_windows: Windows in a sequence.
        length: Tokens in a window.
        mask_ratio: Share of the tokens that are dropped.
        device: Where to draw.

    Returns:
        (N, K) int64 with K = windows * length * (1 - ``mask_ratio``), at least one a window, ascending.
    """
    kept = max(1, round(length * (1 - mask_ratio)))
    ids = torch.rand(batch, num_windows, length, device=device).argsort(-1)[..., :kept]
    ids = ids + torch.arange(num_windows, device=device)[:, None] * length
    return ids.flatten(1).sort(-1).values


def hidden_tokens(ids: Tensor, num_tokens: int) -> Tensor:
    """True for the tokens that are not among the visible ``ids`` (N, K): (N, L) bool."""
    return torch.ones(ids.size(0), num_tokens, dtype=torch.bool, device=ids.device).scatter_(1, ids, False)


def fill_masked(mask_token: Tensor, visible: Tensor, ids: Tensor, num_tokens: int) -> Tensor:
    """Puts visible tokens (N, K, D) at their positions (N, K) and the mask token (1, 1, D) at all others: (N, L, D)."""
    x = mask_token.to(visible.dtype).repeat(visible.size(0), num_tokens, 1)
    return x.scatter(1, ids[..., None].expand_as(visible), visible)
