# Copyright (c) mmdefusion authors. All rights reserved.
"""Modality teachers: frozen encoders that give token targets."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
import torch.nn.functional as F
from mmengine.device import get_device
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdefusion.registry import MODELS
from mmdefusion.utils.precision import emulates_bfloat16
from mmdefusion.utils.pretrained import load_pretrained


@MODELS.register_module()
class FrozenEncoder(BaseModule):
    """A trained encoder that only gives targets.

    The network inside is in no list of the model: not among its parameters and modules, not in its checkpoint, not in
    the buckets and buffers of distributed training. It stays in evaluation mode, runs without gradients, and moves to
    another device or type with the model. A copy of the model shares it.

    The network is made and its weights are loaded by :meth:`init_weights`, which a Runner calls before training:
    testing a model needs no teacher.

    Args:
        encoder: Config of a network that turns images (N, 3, H, W), RGB in [0, 1], into tokens (N, 1 + L, E), class
            token first, and has a ``patch_size``, see ``MAEViT``.
        checkpoint: File or URL of its weights: of ``MAE`` training here, or a published MAE file.
        prefix: Prefix of its names in the file, None for a common one, see :func:`load_pretrained`.
        recipe: How to get the file, for the message when it is not there; a command or an address.
        dtype: ``'float32'``, ``'bfloat16'`` for half the memory, or ``'auto'``: bfloat16 unless training is on a CPU
            that emulates it. Tokens are float32 anyway.
    """

    def __init__(
        self,
        encoder: dict,
        checkpoint: str,
        prefix: str | None = None,
        recipe: str = 'train one with a config of configs/mae',
        dtype: str = 'float32',
    ) -> None:
        super().__init__()
        if dtype not in ('auto', 'float32', 'bfloat16'):
            raise ValueError(f"dtype must be 'auto', 'float32' or 'bfloat16', got {dtype!r}")
        if dtype == 'auto':
            dtype = 'float32' if emulates_bfloat16(torch.device(get_device()).type) else 'bfloat16'
        self.encoder = encoder
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.recipe = recipe
        self.dtype = getattr(torch, dtype)
        # In a list, nn.Module does not see it.
        self._network: list[nn.Module] = []

    @property
    def network(self) -> nn.Module:
        """The encoder.

        Raises:
            RuntimeError: :meth:`init_weights` was not called.
        """
        if not self._network:
            raise RuntimeError(f'the teacher {self.checkpoint} is not loaded; call init_weights() of the model first')
        return self._network[0]

    def init_weights(self) -> None:
        """Makes the network and loads its weights, once.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file does not have all the weights of the encoder in the right shapes.
        """
        if self._network:
            return
        if '://' not in self.checkpoint and not os.path.isfile(self.checkpoint):
            raise FileNotFoundError(
                f'{self.checkpoint}: no such file; expected the weights of a modality teacher. To get it: {self.recipe}'
            )
        network = MODELS.build(self.encoder)
        init_cfg = dict(type='Pretrained', checkpoint=self.checkpoint, prefix=self.prefix)
        report = load_pretrained(network, init_cfg)
        # An encoder that is in part random would be a teacher of noise.
        if report.missing or report.mismatched:
            raise ValueError(
                f'{self.checkpoint} does not fit the encoder {self.encoder}: {report.summary(self.checkpoint)}'
            )
        self._network.append(network.to(self.dtype).eval().requires_grad_(False))

    @torch.no_grad()
    def forward(self, images: Tensor, hw: tuple[int, int] | None = None) -> Tensor:
        """Tokens of images.

        Args:
            images: RGB in [0, 1], (N, 3, H, W).
            hw: Rows and columns of tokens to give; images of another size are resized to them. None takes the images
                as they are.

        Returns:
            Class token and tokens in the order of rows, after the final norm, (N, 1 + L, E), float32.
        """
        parameter = next(self.network.parameters())
        if parameter.device != images.device:
            self.network.to(images.device)
        if hw is not None:
            size = tuple(side * self.network.patch_size for side in hw)
            if size != tuple(images.shape[-2:]):
                images = F.interpolate(images, size=size, mode='bilinear', antialias=True)
        return self.network(images.to(parameter.dtype)).float()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FrozenEncoder:
        """Applies ``to``, ``cuda``, ``half`` and the like to the network too."""
        super()._apply(fn, recurse)
        for network in self._network:
            network._apply(fn, recurse)
        return self

    def __deepcopy__(self, memo: dict) -> FrozenEncoder:
        copy = type(self)(self.encoder, self.checkpoint, self.prefix, self.recipe, str(self.dtype).split('.')[-1])
        copy._network = self._network
        memo[id(self)] = copy
        return copy
