# Copyright (c) mmdefusion authors. All rights reserved.
"""Classical fusion behind the interface of the networks."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor

from mmdefusion.evaluation.functional import to_luma
from mmdefusion.registry import MODELS
from mmdefusion.structures import FusionDataSample

from ..classical import CLASSICAL_METHODS
from ..classical.pixelwise import to_8_bits


@MODELS.register_module()
class ClassicalFusion(BaseModel):
    """Fuses the 8-bit lumas of pairs without learning; it has no weights and needs no checkpoint.

    The fused image is gray: luma in three equal channels.

    Args:
        method: ``'average'``, ``'laplacian'``, ``'maximum'``, ``'mertens'`` or ``'poisson'``.
        data_preprocessor: Config of the preprocessor.

    Raises:
        ValueError: If the method is unknown.
    """

    def __init__(self, method: str, data_preprocessor: dict | None = None) -> None:
        super().__init__(data_preprocessor or dict(type='mmdefusion.FusionDataPreprocessor'))
        if method not in CLASSICAL_METHODS:
            raise ValueError(f'method must be one of {list(CLASSICAL_METHODS)}, found {method!r}')
        self.method = method

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[FusionDataSample] | None = None,
        mode: str = 'tensor',
    ) -> Tensor | list[FusionDataSample]:
        """Fuses pairs.

        Args:
            inputs: Pairs (N, 6, H, W), RGB in [0, 1].
            data_samples: The samples' records.
            mode: ``'tensor'`` returns the fused images (N, 3, H, W), ``'predict'`` the samples with ``pred_fused``.

        Raises:
            ValueError: If the mode is another one (there is nothing to train), or the inputs are no pairs.
        """
        if mode == 'tensor':
            return self.fuse(inputs)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        raise ValueError(f"mode must be 'tensor' or 'predict', got {mode!r}: {self.method} fusion cannot be trained")

    def fuse(self, inputs: Tensor) -> Tensor:
        """Fused images (N, 3, H, W), gray levels of 8 bits divided by 255, of pairs (N, 6, H, W)."""
        if inputs.ndim != 4 or inputs.size(1) != 6:
            raise ValueError(f'expected pairs of shape (N, 6, H, W), got {tuple(inputs.shape)}')
        pixels = to_8_bits(inputs.float().mul(255).permute(0, 2, 3, 1).cpu().numpy())
        fuse = CLASSICAL_METHODS[self.method]
        fused = [fuse(to_luma(pair[..., 2::-1]), to_luma(pair[..., :2:-1])) for pair in pixels]
        images = torch.from_numpy(np.stack(fused)).to(inputs.device, torch.float32) / 255
        return images[:, None].repeat(1, 3, 1, 1)

    def predict(self, inputs: Tensor, data_samples: list[FusionDataSample] | None = None) -> list[FusionDataSample]:
        """Writes ``pred_fused``, (3, H, W), float32 in [0, 1], into the records, made where None."""
        samples = data_samples or [FusionDataSample() for _ in inputs]
        for sample, image in zip(samples, self.fuse(inputs), strict=True):
            sample.pred_fused = image
        return samples
