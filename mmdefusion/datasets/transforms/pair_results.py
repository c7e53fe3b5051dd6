# Copyright (c) mmdefusion authors. All rights reserved.
"""The results dict of a pair, which notices when a transform loses one of the sources."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

#: Transforms that fill borders, and their setting. OpenCV takes a scalar of four numbers, of which they give three: the
#: first channel of the second source is filled with 0.
BORDER_SETTINGS = dict(Rotate='img_border_value', RandomAffine='border_val')


class PairResults(dict):
    """Results of a pipeline whose ``img`` stays a pair.

    Several stock transforms look at the first three channels only and store an image without the second source, and
    nothing fails until training goes on with half of the data. This dict lets an ``img`` in only if it has six
    channels and its borders were filled alike. It is a plain dict for everything else, and stock transforms and packing
    do not notice it.

    Raises:
        ValueError: If ``img`` is set to something else; the message names the transform and the remedy.
    """

    def __setitem__(self, key: str, value: Any) -> None:
        if key == 'img':
            self._check(value, *_find_caller())
        super().__setitem__(key, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Sets several keys, each of them checked."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def _check(self, image: Any, caller: str, transform: Any) -> None:
        where = f'{self.get("img_path")}: {caller}'
        if not (isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 6):
            found = getattr(image, 'shape', type(image).__name__)
            raise ValueError(
                f'{where} made an image of shape {found} of a pair; expected (H, W, 6). Apply it to one source: '
                f"dict(type='mmdefusion.ApplyToSource', index=0, transforms=[dict(type='{caller}', ...)])"
            )
        setting = BORDER_SETTINGS.get(caller)
        if setting is not None and np.any(getattr(transform, setting, 0)):
            raise ValueError(
                f'{where}({setting}={getattr(transform, setting)}) fills the borders of the two sources differently, '
                f'because OpenCV fills the fourth channel with 0; expected {setting} of 0'
            )


def _find_caller() -> tuple[str, Any]:
    """The transform that sets the key, its class' name first; a function's name, and None, outside of a transform."""
    frame = sys._getframe(2)
    while isinstance(frame.f_locals.get('self'), PairResults):
        frame = frame.f_back
    owner = frame.f_locals.get('self')
    return (frame.f_code.co_name if owner is None else type(owner).__name__), owner
