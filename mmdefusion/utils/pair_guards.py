# Copyright (c) mmdefusion authors. All rights reserved.
"""Checks of stock preprocessors, which pass over half of a pair in silence."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

from mmengine.model import BaseDataPreprocessor

#: Module of a stock class, where it is imported, the class, and the one to use for pairs.
_STOCK = (
    ('mmengine.model', 'ImgDataPreprocessor', 'mmdefusion.PairedDetDataPreprocessor'),
    ('mmseg.models', 'SegDataPreProcessor', 'mmdefusion.PairedSegDataPreProcessor'),
)
#: Whether channels are swapped, as the versions of the stock classes call it.
_SWAPS = ('_channel_conversion', 'channel_conversion')


def guard_stock_preprocessors() -> None:
    """Lets stock preprocessors raise where they would swap the channels of a pair wrongly.

    With ``bgr_to_rgb=True``, MMEngine's preprocessor, and mmdet's that derives from it, keeps channels 2, 1, 0 of six;
    mmseg's leaves the six in BGR. Neither says so. The check is put around their ``forward`` in processes that load
    pairs, once, and touches no other input.
    """
    for module, name, remedy in _STOCK:
        owner = getattr(sys.modules.get(module), name, None)
        if owner is not None and not hasattr(owner.forward, 'guards_pairs'):
            owner.forward = _guarded(owner.forward, remedy)


def _guarded(forward: Callable, remedy: str) -> Callable:
    @functools.wraps(forward)
    def checked(self: BaseDataPreprocessor, data: dict, training: bool = False) -> dict:
        swaps = any(getattr(self, name, False) for name in _SWAPS)
        if swaps and any(image.shape[-3] == 6 for image in data['inputs']):
            raise ValueError(
                f'{type(self).__name__}(bgr_to_rgb=True) knows images of 3 channels only and would spoil a pair of 6; '
                f'expected data_preprocessor=dict(type={remedy!r}, mean=[0.0] * 6, std=[255.0] * 6)'
            )
        return forward(self, data, training)

    checked.guards_pairs = True
    return checked
