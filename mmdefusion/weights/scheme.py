# Copyright (c) mmdefusion authors. All rights reserved.
"""``mmdefusion://NAME``: weights of the package wherever MMEngine expects a checkpoint."""

from __future__ import annotations

from mmengine.runner.checkpoint import CheckpointLoader, load_from_local

from . import WEIGHTS_SCHEME, local_checkpoint


def load_from_mmdefusion(filename: str, map_location: str | None = None) -> dict:
    """Content of weights of the package, for MMEngine's ``CheckpointLoader``.

    Args:
        filename: ``'mmdefusion://NAME'``.
        map_location: As for ``torch.load``.

    Raises:
        ValueError: If no weights of that name come with the package.
    """
    return load_from_local(local_checkpoint(filename), map_location)


def register_weights_scheme() -> None:
    """Let ``load_from`` and ``init_cfg`` of every config name weights of the package."""
    CheckpointLoader.register_scheme(WEIGHTS_SCHEME, load_from_mmdefusion, force=True)
