# Copyright (c) mmdefusion authors. All rights reserved.
"""Weights that come with the package: tensors and a config only, they load with ``weights_only=True``."""

from __future__ import annotations

from pathlib import Path

#: Names of the files beside this one; the first is what :class:`mmdefusion.apis.FusionInferencer` takes by default.
SHIPPED_WEIGHTS = dict(
    fusion='defusion-pp_nano_fusion.pth',
    pretext='defusion-pp_nano_pretext.pth',
    backbone='defusion-pp_nano_backbone.pth',
)
#: What stands before such a name where MMEngine expects a checkpoint: ``load_from='mmdefusion://pretext'``.
WEIGHTS_SCHEME = 'mmdefusion://'


def shipped_weights(name: str = 'fusion') -> str:
    """Path of weights that come with the package.

    Args:
        name: ``'fusion'``, adapted to pairs of all tasks, ``'pretext'``, pretrained on photos alone, or ``'backbone'``,
            a backbone for detectors and segmentors, which fuses no images.

    Raises:
        ValueError: If there are none of that name.
    """
    if name not in SHIPPED_WEIGHTS:
        raise ValueError(f'no weights {name!r} come with the package; found {sorted(SHIPPED_WEIGHTS)}')
    return str(Path(__file__).parent / SHIPPED_WEIGHTS[name])


def local_checkpoint(checkpoint: str) -> str:
    """Path of a checkpoint, which may be ``'mmdefusion://NAME'`` for weights of the package.

    Args:
        checkpoint: A path, which is returned as it is, or a name after the scheme.

    Raises:
        ValueError: If no weights of that name come with the package.
    """
    if checkpoint.startswith(WEIGHTS_SCHEME):
        return shipped_weights(checkpoint[len(WEIGHTS_SCHEME) :])
    return checkpoint


__all__ = ['SHIPPED_WEIGHTS', 'WEIGHTS_SCHEME', 'local_checkpoint', 'shipped_weights']
