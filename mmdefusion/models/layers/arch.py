# Copyright (c) mmdefusion authors. All rights reserved.
"""Sizes of the network, by name."""

from __future__ import annotations

from dataclasses import dataclass, fields

#: The full-resolution path halves the resolution this many times at most.
_DETAIL_LEVELS = 3


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
        detail_dims: Width of the full-resolution path: a convolutional stem in the backbone, see
            :class:`mmdefusion.models.layers.DetailStem`, and the fused head that reads it, see
            :class:`mmdefusion.models.necks.DetailDecoder`. 0: patches are embedded and decoded by linear maps alone.
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

    @property
    def detail_widths(self) -> tuple[int, ...]:
        """Channels of the full-resolution path at full, half, quarter and eighth resolution; () without that path.

        None is coarser than a patch.
        """
        if not self.detail_dims:
            return ()
        levels = min(_DETAIL_LEVELS, self.patch_size.bit_length() - 1)
        return tuple(self.detail_dims * (level + 1) for level in range(levels + 1))

    @property
    def detail_scale(self) -> int:
        """Side of a token's patch at the coarsest level of the full-resolution path. Tokens may be coarser than it."""
        return self.patch_size // 2 ** (len(self.detail_widths) - 1)


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
