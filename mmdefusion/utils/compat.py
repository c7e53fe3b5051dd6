# Copyright (c) mmdefusion authors. All rights reserved.
"""Differences between the versions of torch, MMEngine and the two package families, evened out in one place."""

from collections.abc import Callable
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint

_HISTORY_STATISTICS = ('min', 'max', 'current', 'mean')


def apply_compat() -> None:
    """Run every fix of this module; doing it more than once changes nothing."""
    allow_history_buffers()
    refuse_unsafe_loading()
    register_package_names()


def allow_history_buffers() -> None:
    """Let ``torch.load(weights_only=True)`` read the training history in MMEngine's checkpoints.

    Since torch 2.6 that is the default, and MMEngine 0.10 cannot resume from its own checkpoints under it. Allowed are
    the ``HistoryBuffer``, and numpy's arrays and scalars of plain numbers, under their names in numpy 1 and 2.
    """
    # Older releases load without restriction by default, and do not take an object together with its name.
    if tuple(int(part) for part in torch.__version__.split('.')[:2]) < (2, 6):
        return
    # np.dtype('l') and np.dtype('q') are two classes of the same size: collect all, whatever the platform aliases.
    number_types = {type(np.dtype(code)) for code in np.typecodes['AllInteger'] + np.typecodes['AllFloat'] + '?'}
    allowed = (HistoryBuffer, np.ndarray, np.dtype, *number_types)
    # Each with its name, as a pair: OneDL's loader takes the bare objects away again after each checkpoint.
    named = [(item, f'{item.__module__}.{item.__qualname__}') for item in allowed]
    for builder in _numpy_builders():
        named += [(builder, f'numpy.{package}.multiarray.{builder.__name__}') for package in ('core', '_core')]
    torch.serialization.add_safe_globals([*named, (_history_statistic, 'builtins.getattr')])


def _numpy_builders() -> tuple[Callable, Callable]:
    # Asked of pickle's own protocol, because numpy 2 moved them to a private module.
    return np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]


def _history_statistic(owner: type, name: str) -> Callable:
    """Stand in for ``getattr`` while a checkpoint is read.

    A ``HistoryBuffer`` pickles its methods, which calls ``getattr``. Allowing the real one would let a file reach any
    attribute of any allowed object, so this one gives out those four methods and nothing else.
    """
    if owner is not HistoryBuffer or name not in _HISTORY_STATISTICS:
        raise ValueError(f'a checkpoint may not read the attribute {name!r} of {owner!r}')
    return getattr(owner, name)


def refuse_unsafe_loading() -> None:
    """Keep OneDL's checkpoint loader from unpickling freely what cannot be read safely.

    It falls back to ``weights_only=False``, so a checkpoint could run any code. Asked for ``weights_only=True``
    outright, it does not.
    """
    load = getattr(checkpoint, '_safe_torch_load', None)
    if load is not None and not isinstance(load, partial):
        checkpoint._safe_torch_load = partial(load, weights_only=True)


def register_package_names() -> None:
    """Let ``mmdefusion::`` and ``mmseg::`` find their configs, however the packages were installed.

    MMEngine maps the prefix of a config to a distribution and looks for ``.mim`` where that distribution's metadata
    lies. Given a name that is no distribution, it looks next to the module of that name instead. This is needed twice:

    * OneDL's mmseg is not distributed as ``mmsegmentation``.
    * The metadata of an editable install lies in site-packages, while the package is in the repository.
    """
    MODULE2PACKAGE.setdefault('mmdefusion', 'mmdefusion')
    if _is_editable('mmdefusion'):
        MODULE2PACKAGE['mmdefusion'] = 'mmdefusion.version'
    if _find_distribution('mmsegmentation') is None and _has_mim_folder('mmseg'):
        MODULE2PACKAGE['mmseg'] = 'mmseg'


def _find_distribution(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def _is_editable(name: str) -> bool:
    distribution = _find_distribution(name)
    return distribution is not None and not Path(distribution.locate_file(name)).is_dir()


def _has_mim_folder(module: str) -> bool:
    spec = find_spec(module)
    return spec is not None and spec.origin is not None and (Path(spec.origin).parent / '.mim').is_dir()
