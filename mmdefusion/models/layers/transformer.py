# Copyright (c) mmdefusion authors. All rights reserved.
"""Transformer layers: the ViT block and the cross-attention layer with a task indicator.

Shapes: N batch, L tokens (window by window, see :mod:`.token_grid`), D width. Attention stays inside a window; with one
window it is global.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .linear_map import Linear, linear
from .token_grid import WindowShift

#: Longest sequence for which writing the attention out beats PyTorch's kernel on a CPU, forward and backward together.
_EXPLICIT_LENGTH = 256
#: Attention weights of a query from which on bfloat16 is the quicker type for the softmax.
_FEW_VALUES = 64
#: Attention weights that a thread keeps in its cache: as many numbers of two bytes.
_BLOCK = 2**19
#: Largest exponent of two without a maximum subtracted: far from what bfloat16 and float32 overflow at, sums included.
_SAFE_EXPONENT = 60


def drop(x: Tensor, probability: float) -> Tensor:
    """Dropout of a training step; on a CPU four decisions share one draw of PyTorch's serial generator.

    Args:
        x: Any shape.
        probability: Share of the elements that become zero, in steps of ``2**-16`` on a CPU.

    Returns:
        ``x`` with the others divided by ``1 - probability``.
    """
    if not probability:
        return x
    if x.device.type != 'cpu' or torch.compiler.is_compiling():
        return F.dropout(x, probability)
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    lanes = draws.view(torch.int16)[: x.numel()].view(x.shape)
    # As numbers rather than booleans, which PyTorch multiplies three times as slowly.
    keep = torch.ge(lanes, round(probability * 2**16) - 2**15, out=torch.empty_like(x, requires_grad=False))
    return x * keep.div_(1 - probability)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    """Scaled dot-product attention by the quickest kernel of the device.

    Args:
        q: Queries, (B, heads, Lq, d).
        k: Keys, (B, heads, Lk, d).
        v: Values, (B, heads, Lk, d).
        mask: True where a query may look, (windows, Lq, Lk) with B = N * windows, windows fastest.
        dropout: Probability of dropping an attention weight.

    Returns:
        (B, heads, Lq, d).
    """
    if q.device.type != 'cpu' or k.size(2) > _EXPLICIT_LENGTH:
        inference = not torch.is_grad_enabled() and mask is None and not dropout
        if q.device.type == 'cpu' and inference and not torch.compiler.is_compiling():
            return _attend_in_blocks(q, k, v)
        if mask is not None:
            mask = mask[:, None].repeat(q.size(0) // mask.size(0), 1, 1, 1)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
    batch, heads, length, dims = q.shape
    q, k, v = (part.reshape(batch * heads, -1, dims) for part in (q, k, v))
    scores = torch.baddbmm(q.new_zeros(1), q, k.transpose(1, 2), beta=0, alpha=dims**-0.5)
    if mask is not None:
        bias = torch.zeros_like(mask, dtype=scores.dtype).masked_fill_(~mask, float('-inf'))
        scores = (scores.view(-1, mask.size(0), heads, *mask.shape[1:]) + bias[:, None]).flatten(0, 2)
    # Few values in bfloat16 take PyTorch's softmax three times as long as in float32; many half as long.
    dtype = torch.float32 if k.size(1) < _FEW_VALUES else scores.dtype
    with torch.autocast(q.device.type, enabled=False):
        weights = scores.softmax(dim=-1, dtype=dtype).to(v.dtype)
    return torch.bmm(drop(weights, dropout), v).view(batch, heads, length, dims)


def _attend_in_blocks(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of long sequences on a CPU, a few queries at a time: nearly half of the time of PyTorch's kernel.

    The softmax needs no largest score of each row where no exponential can leave the range of the type, which the norms
    of queries and keys tell beforehand; then the sums of the weights divide the results rather than the weights.
    """
    batch, heads, length, dims = q.shape
    scale = dims**-0.5 * math.log2(math.e)
    norms = [torch.linalg.vector_norm(part, dim=-1).amax().item() for part in (q, k)]
    bounded = q.dtype != torch.float16 and scale * norms[0] * norms[1] < _SAFE_EXPONENT
    q = (q * (scale if bounded else dims**-0.5)).reshape(batch * heads, length, dims)
    k, v = k.reshape(batch * heads, -1, dims).transpose(1, 2).contiguous(), v.reshape(batch * heads, -1, dims)
    together, rows = torch.get_num_threads(), max(64, _BLOCK // k.size(2))
    result = torch.empty_like(q)
    # One block of memory for all scores: fresh memory takes as long as the product.
    block = q.new_empty(min(together, len(q)) * min(rows, length) * k.size(2))
    for head in range(0, len(q), together):
        part = slice(head, head + together)
        for row in range(0, length, rows):
            asked = q[part, row : row + rows]
            scores = block[: asked.size(0) * asked.size(1) * k.size(2)].view(*asked.shape[:2], -1)
            torch.bmm(asked, k[part], out=scores)
            if bounded:
                values = torch.bmm(scores.exp2_(), v[part]).div_(scores.sum(dim=-1, keepdim=True))
            else:
                values = torch.bmm(scores.softmax(dim=-1), v[part])
            result[part, row : row + rows] = values
    return result.view(batch, heads, length, dims)


def split_heads(tokens: Tensor, num_heads: int, num_windows: int) -> Tensor:
    """(N, L, D) -> (N * windows, heads, Lw, D / heads)."""
    batch, length, dims = tokens.shape
    tokens = tokens.reshape(batch * num_windows, length // num_windows, num_heads, dims // num_heads)
    return tokens.transpose(1, 2)


def merge_heads(tokens: Tensor, num_windows: int) -> Tensor:
    """(N * windows, heads, Lw, d) -> (N, L, heads * d)."""
    windows, heads, length, dims = tokens.shape
    return tokens.transpose(1, 2).reshape(windows // num_windows, num_windows * length, heads * dims)


class Attention(nn.Module):
    """Multi-head self-attention with the parameter names of timm and MAE (``qkv``, ``proj``)."""

    def __init__(self, dims: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = Linear(dims, 3 * dims)
        self.proj = Linear(dims, dims)

    def forward(self, x: Tensor, num_windows: int, mask: Tensor | None = None) -> Tensor:
        """(N, L, D) -> (N, L, D)."""
        q, k, v = (split_heads(part, self.num_heads, num_windows) for part in self.qkv(x).chunk(3, dim=-1))
        return self.proj(merge_heads(attend(q, k, v, mask), num_windows))


class Mlp(nn.Module):
    """Linear, GELU, linear, with the parameter names of timm and MAE (``fc1``, ``fc2``)."""

    def __init__(self, dims: int, ratio: float, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = Linear(dims, int(dims * ratio))
        self.fc2 = Linear(int(dims * ratio), dims)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, D) -> (N, L, D)."""
        return self.fc2(drop(F.gelu(self.fc1(x)), self.dropout if self.training else 0.0))


class Block(nn.Module):
    """Pre-norm ViT block; parameters are named as timm and MAE name them, so public weights load.

    Args:
        dims: Width D.
        num_heads: Attention heads; divides ``dims``.
        mlp_ratio: Hidden width of the MLP over D.
        drop_path: Probability with which a sample skips the block's branches in training.
    """

    def __init__(self, dims: int, num_heads: int, mlp_ratio: float = 4.0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dims, eps=1e-6)
        self.attn = Attention(dims, num_heads)
        self.norm2 = nn.LayerNorm(dims, eps=1e-6)
        self.mlp = Mlp(dims, mlp_ratio)
        self.drop_path = drop_path

    def _residual(self, branch: Tensor) -> Tensor:
        if not (self.drop_path and self.training):
            return branch
        keep = 1 - self.drop_path
        return branch * (torch.rand(branch.size(0), 1, 1, device=branch.device) < keep).to(branch.dtype) / keep

    def forward(self, x: Tensor, num_windows: int = 1, shift: WindowShift | None = None) -> Tensor:
        """Runs the block.

        Args:
            x: Tokens, (N, L, D).
            num_windows: Windows in L; attention stays inside them.
            shift: Attend in displaced windows instead.

        Returns:
            (N, L, D).
        """
        y = self.norm1(x)
        if shift is None:
            y = self.attn(y, num_windows)
        else:
            y = self.attn(y[:, shift.order], num_windows, shift.mask)[:, shift.inverse]
        x = x + self._residual(y)
        return x + self._residual(self.mlp(self.norm2(x)))


class CrossAttentionLayer(nn.Module):
    """Cross-attention with a task indicator, post-norm (DeFusion++, Fig. 4).

    ``Q = Wq b``, ``V = Wv a`` and ``K = Wk b`` for the task 'common', ``K = Wk a`` for 'unique' and 'fuse';
    ``y = LN(b + Attention(Q, K, V))``, ``out = LN(y + FFN(y))``.

    Args:
        dims: Width D.
        num_heads: Attention heads; divides ``dims``.
        task: Task indicator: 'common', 'unique' or 'fuse'.
        mlp_ratio: Hidden width of the feed-forward network over D.
        dropout: Dropout of attention weights, hidden units and both residual branches.
    """

    def __init__(self, dims: int, num_heads: int, task: str, mlp_ratio: float = 4.0, dropout: float = 0.1) -> None:
        super().__init__()
        if task not in ('common', 'unique', 'fuse'):
            raise ValueError(f"task must be 'common', 'unique' or 'fuse', got {task!r}")
        if dims % num_heads:
            raise ValueError(f'{num_heads} heads do not divide a width of {dims}')
        self.num_heads = num_heads
        self.task = task
        self.dropout = dropout
        # The release applies two linear maps in a row to each of Q, K, V; one is the same function.
        self.qkv = Linear(dims, 3 * dims)
        self.proj = Linear(dims, dims)
        self.norm1 = nn.LayerNorm(dims)
        self.mlp = Mlp(dims, mlp_ratio, dropout)
        self.norm2 = nn.LayerNorm(dims)

    def _project(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (N, L, D), by two matrix products instead of three."""
        from_b = 2 if self.task == 'common' else 1
        weights = self.qkv.weight.split([from_b * b.size(-1), (3 - from_b) * b.size(-1)])
        biases = self.qkv.bias.split([from_b * b.size(-1), (3 - from_b) * b.size(-1)])
        left = linear(b, weights[0], biases[0]).chunk(from_b, dim=-1)
        right = linear(a, weights[1], biases[1]).chunk(3 - from_b, dim=-1)
        if b.size(0) > a.size(0):
            right = tuple(part.repeat(b.size(0) // a.size(0), 1, 1) for part in right)
        return (*left, *right)

    def forward(self, a: Tensor, b: Tensor, num_windows: int = 1) -> Tensor:
        """Runs the layer.

        Args:
            a: Tokens that give the values, (N, L, D).
            b: Tokens that ask and are carried on, (N, L, D), or (k * N, L, D) for k questions to the same ``a`` where
                the task takes its keys from ``a``.
            num_windows: Windows in L.

        Returns:
            Tokens of the shape of ``b``.
        """
        q, k, v = (split_heads(part, self.num_heads, num_windows) for part in self._project(a, b))
        dropout = self.dropout if self.training else 0.0
        y = self.proj(merge_heads(attend(q, k, v, dropout=dropout), num_windows))
        y = self.norm1(b + drop(y, dropout))
        return self.norm2(y + drop(self.mlp(y), dropout))
