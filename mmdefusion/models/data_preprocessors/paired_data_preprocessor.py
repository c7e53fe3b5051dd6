# Copyright (c) mmdefusion authors. All rights reserved.
"""Data preprocessors of MMDetection and MMSegmentation for pairs.

The stock classes know three channels: MMDetection's takes no six means, and with ``bgr_to_rgb`` it keeps the first
three channels without a word. Here colours are converted and normalised for both sources, before the stock class sees
them; moving, padding, stacking and batch augmentation remain its own.

The hosts need not be installed to import this module, so the classes are made when the first one is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from mmengine.model import BaseDataPreprocessor

from mmdefusion.registry import MODELS
from mmdefusion.utils.hosts import import_host

_CHANNELS = 6


class PairedDataPreprocessorMixin:
    """Colours of both sources, in front of a host's preprocessor in the order of base classes.

    Args:
        mean: What to subtract from each channel, in the order of the output (R, G, B of the first source, then of the
            second), values in 0..255. The defaults give what ``DeFusionViT`` takes, RGB in [0, 1].
        std: What to divide by, as ``mean``.
        bgr_to_rgb: Whether to reverse the channels of each source.
        rgb_to_bgr: Only False; pipelines load BGR.
        **kwargs: Arguments of the stock class.

    Raises:
        ValueError: Not six means or standard deviations, one of the latter not positive, or ``rgb_to_bgr``.
    """

    def __init__(
        self,
        mean: Sequence[float] = (0.0,) * _CHANNELS,
        std: Sequence[float] = (255.0,) * _CHANNELS,
        bgr_to_rgb: bool = True,
        rgb_to_bgr: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        for name, values in (('mean', mean), ('std', std)):
            if len(values) != _CHANNELS:
                raise ValueError(
                    f'{type(self).__name__}: {name} has {len(values)} values, {list(values)}; expected {_CHANNELS}: '
                    'R, G, B of the first source, then of the second'
                )
        if min(std) <= 0:
            raise ValueError(f'{type(self).__name__}: std must be positive, got {list(std)}')
        if rgb_to_bgr:
            raise ValueError(f'{type(self).__name__}: rgb_to_bgr is not supported; pipelines load BGR, set bgr_to_rgb')
        self.bgr_to_rgb = bgr_to_rgb
        self.register_buffer('mean', torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std, dtype=torch.float32).view(-1, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Converts and normalises both sources, then does what the stock class does.

        Args:
            data: ``inputs``: pairs (6, H, W), BGR of both sources, 0 to 255, as a list or stacked; ``data_samples``:
                optional list of samples.
            training: Whether the batch is for training.

        Returns:
            ``inputs`` (N, 6, H', W') float32 and ``data_samples``.

        Raises:
            ValueError: An input does not have six channels.
        """
        data = self.cast_data(data)
        inputs = data['inputs']
        stacked = isinstance(inputs, torch.Tensor)
        pairs = [self._normalize(pair) for pair in inputs]
        return super().forward({**data, 'inputs': torch.stack(pairs) if stacked else pairs}, training)

    def _normalize(self, pair: torch.Tensor) -> torch.Tensor:
        if pair.size(0) != _CHANNELS:
            raise ValueError(
                f'{type(self).__name__} expects {_CHANNELS} channels, two sources, got an input of shape '
                f"{tuple(pair.shape)}; does the pipeline have dict(type='mmdefusion.LoadPairedImage') after "
                'LoadImageFromFile? For one image use the stock preprocessor'
            )
        if self.bgr_to_rgb:
            pair = pair.unflatten(0, (2, 3)).flip(1).flatten(0, 1)
        return (pair.float() - self.mean) / self.std


@cache
def _paired_class(name: str, module: str, stock: str) -> type[BaseDataPreprocessor]:
    base = getattr(import_host(module, name), stock)
    return type(name, (PairedDataPreprocessorMixin, base), dict(__module__=__name__, __doc__=base.__doc__))


@MODELS.register_module()
def PairedDetDataPreprocessor(**kwargs) -> BaseDataPreprocessor:
    """``DetDataPreprocessor`` of MMDetection for pairs.

    Args:
        **kwargs: Arguments of :class:`PairedDataPreprocessorMixin` and of the stock class.

    Raises:
        ImportError: MMDetection is not installed.
    """
    return _paired_class('PairedDetDataPreprocessor', 'mmdet.models', 'DetDataPreprocessor')(**kwargs)


@MODELS.register_module()
def PairedSegDataPreProcessor(**kwargs) -> BaseDataPreprocessor:
    """``SegDataPreProcessor`` of MMSegmentation for pairs.

    Args:
        **kwargs: Arguments of :class:`PairedDataPreprocessorMixin` and of the stock class.

    Raises:
        ImportError: MMSegmentation is not installed.
    """
    return _paired_class('PairedSegDataPreProcessor', 'mmseg.models', 'SegDataPreProcessor')(**kwargs)
