# Copyright (c) mmdefusion authors. All rights reserved.
"""Fusion without learning: what a network has to beat before it has shown anything."""

from .pixelwise import fuse_average, fuse_maximum
from .poisson import fuse_poisson
from .pyramid import fuse_laplacian, fuse_mertens

CLASSICAL_METHODS = dict(
    average=fuse_average,
    laplacian=fuse_laplacian,
    maximum=fuse_maximum,
    mertens=fuse_mertens,
    poisson=fuse_poisson,
)
"""Name -> ``function(a, b)`` of two 8-bit lumas of shape (H, W), which returns the fused one, uint8."""

__all__ = ['CLASSICAL_METHODS', 'fuse_average', 'fuse_laplacian', 'fuse_maximum', 'fuse_mertens', 'fuse_poisson']
