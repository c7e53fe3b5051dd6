# Copyright (c) mmdefusion authors. All rights reserved.
"""From packed samples to the batch that the network takes."""

from __future__ import annotations

import torch
from mmengine.model import BaseDataPreprocessor

from mmdefusion.registry import MODELS


@MODELS.register_module()
class FusionDataPreprocessor(BaseDataPreprocessor):
    """Stacks images, moves them to the device, and turns BGR in [0, 255] into RGB in [0, 1].

    The backbone applies ImageNet statistics itself, because the pretext targets are the images in [0, 1].
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Preprocesses a batch.

        Args:
            data: ``inputs``: images (C, H, W) or pairs (2C, H, W) as a list or stacked, C = 3, BGR, 0 to 255, all of
                one shape; ``data_samples``: optional list of samples.
            training: Not used; the base class asks for it.

        Returns:
            ``inputs`` (N, C, H, W) or (N, 2C, H, W), float32 RGB in [0, 1], and ``data_samples``.

        Raises:
            ValueError: The images differ in shape, or their channels are no multiple of 3.
        """
        data = self.cast_data(data)
        inputs, samples = data['inputs'], data.get('data_samples')
        shapes = {tuple(image.shape) for image in inputs}
        if len(shapes) != 1:
            paths = [sample.get('img_path') for sample in samples or []]
            raise ValueError(
                f'a batch needs images of one shape, got {sorted(shapes)} (files: {paths}); '
                'use batch_size=1, or crop or resize in the pipeline'
            )
        if isinstance(inputs, (list, tuple)):
            # A large image is not copied to be a batch of its own.
            inputs = torch.stack(list(inputs)) if len(inputs) > 1 else inputs[0][None]
        if inputs.size(1) % 3:
            raise ValueError(f'expected 3 or 6 channels (BGR of one or two images), got shape {tuple(inputs.shape)}')
        # Flipping copies, so the images that came in stay as they are.
        rgb = inputs.unflatten(1, (-1, 3)).flip(2).flatten(1, 2).float()
        return dict(inputs=rgb.div_(255), data_samples=samples)
