# Copyright (c) mmdefusion authors. All rights reserved.
"""Masked autoencoders: pretraining of the teachers of multi-modal decomposition."""

from __future__ import annotations

from mmengine.model import BaseModel
from torch import Tensor

from mmdefusion.registry import MODELS
from mmdefusion.structures import FusionDataSample

from ..layers import TokenGrid


@MODELS.register_module()
class MAE(BaseModel):
    """Masked autoencoder (He et al. 2022) for images of one modality.

    Args:
        backbone: Config of the encoder, see ``MAEViT``.
        neck: Config of the decoder, see ``MAEDecoder``.
        head: Config of the loss, see ``MAEHead``.
        data_preprocessor: Config of the preprocessor.
        init_cfg: As in MMEngine.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        head: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor or dict(type='mmdefusion.FusionDataPreprocessor'), init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        self.head = MODELS.build(head)

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[FusionDataSample] | None = None,
        mode: str = 'tensor',
    ) -> Tensor | dict[str, Tensor] | list[FusionDataSample]:
        """Runs the model in one of three modes.

        Args:
            inputs: RGB in [0, 1], (N, 3, H, W), H and W multiples of the patch size.
            data_samples: The samples' records.
            mode: ``'tensor'`` returns the encoder's tokens of the whole images, ``'loss'`` the loss, ``'predict'`` the
                samples with their predictions.
        """
        if mode == 'tensor':
            return self.backbone(inputs)
        if mode == 'loss':
            return self.loss(inputs)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        raise ValueError(f"mode must be 'tensor', 'loss' or 'predict', got {mode!r}")

    def complete(self, images: Tensor) -> tuple[Tensor, Tensor, TokenGrid]:
        """Hides most patches and predicts them.

        Returns:
            Predicted patches (N, L, C*p*p), positions of the visible ones (N, K), and the grid.
        """
        grid = self.backbone.grid_of(images)
        ids = self.neck.draw_visible(images.size(0), grid.num_tokens, images.device)
        return self.neck(self.backbone(images, ids), ids, grid), ids, grid

    def loss(self, inputs: Tensor) -> dict[str, Tensor]:
        """The loss of images, (N, 3, H, W)."""
        pred, ids, grid = self.complete(inputs)
        return self.head.loss(pred, inputs, ids, grid)

    def predict(self, inputs: Tensor, data_samples: list[FusionDataSample] | None = None) -> list[FusionDataSample]:
        """Completed images.

        Args:
            inputs: RGB in [0, 1], (N, 3, H, W).
            data_samples: Records to write into; made where None.

        Returns:
            The records with ``view1`` (what was seen), ``pred_masked`` (visible patches, the others predicted, clamped
            to [0, 1]) and ``gt_fused`` (the image).
        """
        samples = data_samples or [FusionDataSample() for _ in inputs]
        pred, ids, grid = self.complete(inputs)
        seen, completed = self.head.reconstruct(pred, inputs, ids, grid)
        for sample, view, image, truth in zip(samples, seen, completed.clamp(0, 1), inputs, strict=True):
            sample.set_data(dict(view1=view, pred_masked=image, gt_fused=truth))
        return samples
