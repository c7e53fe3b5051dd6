# Copyright (c) mmdefusion authors. All rights reserved.
"""The libraries that mmdefusion plugs into, imported only where something of theirs is needed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from .environment import ONEDL, installed_versions

_TITLES = dict(mmdet='MMDetection', mmseg='MMSegmentation')


def import_host(module: str, needed_by: str) -> ModuleType:
    """Imports a module of MMDetection or MMSegmentation.

    Args:
        module: Name of the module, ``mmdet...`` or ``mmseg...``.
        needed_by: What asks for it, for the error.

    Raises:
        ImportError: The library, or the full MMCV that it needs, is not installed; with the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        requirements = 'requirements/onedl.txt' if installed_versions(ONEDL.versions) else 'requirements/full.txt'
        raise ImportError(
            f'{needed_by} needs {_TITLES[module.partition(".")[0]]} and the full MMCV, but {module} cannot be imported '
            f'({error}): run `pip install -r {requirements}` in the root of the mmdefusion repository, see "Detection '
            'and segmentation" in docs/en/get_started/installation.md'
        ) from error
