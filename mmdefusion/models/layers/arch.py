# Copyright (c) mmdefusion authors. All rights reserved.
"""Sizes of the network, by name."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class FusionArch:
    """Sizes that the backbone and the decoder share.

    Attributes:
        embed_dims: Width D of a token.
        depth: Blocks of the encoder.
        num_heads: Heads of every self-attention.
        patch_size: Side p of a token's patch in pixels.
        window_size: Side of an attention window in tokens; None is global attention.
        mlp_ratio: Hidden width of every MLP over D.
        cross_heads: Heads of every cross-attention.
        cross_dropout: Dropout of every cross-attention layer.
        long_residual: Whether ``Z' = R(Z) + Z`` rather than ``R(Z)``.
        detail_dims: Width of the full-resolution path of the fused head, see
            :class:`mmdefusion.models.necks.DetailDecoder`; 0 decodes each token to its patch by a linear map.
    """

    embed_dims: int = 192
    depth: int = 12
    num_heads: int = 6
    patch_size: int = 16
    window_size: int | None = None
    mlp_ratio: float = 4.0
    cross_heads: int = 16
    cross_dropout: float = 0.1
    long_residual: bool = True
    detail_dims: int = 0

    def __post_init__(self) -> None:
        for name in ('embed_dims', 'depth', 'num_heads', 'patch_size', 'cross_heads'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} must be at least 1, got {getattr(self, name)}')
        if self.embed_dims % 4 or self.embed_dims % self.num_heads or self.embed_dims % self.cross_heads:
            raise ValueError(
                f'embed_dims must be divisible by 4 (positions), num_heads and cross_heads, got {self.embed_dims}, '
                f'{self.num_heads} and {self.cross_heads}'
            )
        if self.detail_dims and (self.patch_size < 2 or self.patch_size & (self.patch_size - 1)):
            raise ValueError(f'detail_dims needs a patch_size that is a power of two from 2 on, got {self.patch_size}')


#: ``tiny`` is the published network (ViT-T/16). ``nano`` trains and runs on a CPU: attention in windows of 25 tokens
#: makes its cost linear in pixels, and a thin full-resolution path keeps the detail that 16x16 patches lose.
ARCHS = {
    'tiny': FusionArch(),
    'nano': FusionArch(depth=4, mlp_ratio=2.0, window_size=5, cross_heads=6, cross_dropout=0.0, detail_dims=16),
}


def get_arch(arch: str | dict) -> FusionArch:
    """Looks an architecture up by name, or makes one from a dict of :class:`FusionArch` fields.

    Args:
        arch: ``'tiny'``, ``'nano'``, or a dict whose optional key ``base`` names the one that its other keys change.

    Raises:
        ValueError: The name or a key is unknown, or the sizes do not fit each other.
    """
    if isinstance(arch, str):
        arch = dict(base=arch)
    base = arch.get('base', 'tiny')
    if base not in ARCHS:
        raise ValueError(f'unknown arch {base!r}, expected one of {sorted(ARCHS)}')
    known = {field.name: getattr(ARCHS[base], field.name) for field in fields(FusionArch)}
    changes = {key: value for key, value in arch.items() if key != 'base'}
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise ValueError(f'unknown arch settings {unknown}, expected some of {sorted(known)}')
    return FusionArch(**{**known, **changes})
