# Copyright (c) mmdefusion authors. All rights reserved.
"""DeFusion++: pretraining without labels, and fusion of any pair."""

from __future__ import annotations

import torch
from mmengine.model import BaseModel
from torch import Tensor

from mmdefusion.registry import MODELS
from mmdefusion.structures import FusionDataSample

from ..layers import TokenGrid, patchify
from ..necks import Decomposition
from ..target_generators import CUDTargets


@MODELS.register_module()
class DeFusionPP(BaseModel):
    """DeFusion++ (Liang et al., arXiv 2410.12274): common and unique decomposition with masked feature modeling.

    Args:
        backbone: Config of the encoder with decomposition and fusion, see ``DeFusionViT``.
        neck: Config of the decoder, see ``DeFusionDecoder``.
        head: Config of the losses, see ``DeFusionHead``; only pretraining needs it.
        target_generator: Config of what makes views and targets, see ``CUDTargetGenerator``; only pretraining needs it.
        data_preprocessor: Config of the preprocessor.
        init_cfg: As in MMEngine.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        head: dict | None = None,
        target_generator: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor or dict(type='mmdefusion.FusionDataPreprocessor'), init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        self.head = head and MODELS.build(head)
        self.target_generator = target_generator and MODELS.build(target_generator)

    @torch.no_grad()
    def init_weights(self) -> None:
        """Initialises the parts, then shifts the heads' biases so that a gray pair is decoded as gray.

        The positions, which every token carries, would otherwise start as a pattern on each patch.
        """
        super().init_weights()
        if self.backbone.init_cfg:
            return
        patch_size = self.backbone.arch.patch_size
        grid = TokenGrid(4, 4, 4, 4)
        gray = self.backbone.mean.expand(1, -1, 4 * patch_size, 4 * patch_size)
        was_training = self.training
        images = self.eval().decode(gray, gray)
        self.train(was_training)
        for name in ('common', 'unique', 'fused'):
            head = getattr(self.neck, name)
            image = images.unique1 if name == 'unique' else getattr(images, name)
            head.pred.bias -= patchify(image - gray, grid, patch_size).mean(dim=(0, 1))

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[FusionDataSample] | None = None,
        mode: str = 'tensor',
    ) -> Decomposition | dict[str, Tensor] | list[FusionDataSample]:
        """Runs the model in one of three modes.

        Args:
            inputs: RGB in [0, 1]: photos (N, 3, H, W) or pairs (N, 6, H, W).
            data_samples: The samples' records; photos bring their ``cud_masks``.
            mode: ``'tensor'`` returns the decoded images of pairs (a photo is paired with itself), ``'loss'`` the
                named losses of photos, ``'predict'`` the samples with their predictions.
        """
        if mode == 'tensor':
            return self.decode(*inputs.split(3, dim=1))
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        raise ValueError(f"mode must be 'tensor', 'loss' or 'predict', got {mode!r}")

    def decode(self, x1: Tensor, x2: Tensor | None = None) -> Decomposition:
        """Parts and fused image of pairs (N, 3, H, W), without masked feature modeling."""
        tokens = self.backbone.decompose(x1, x2)
        return self.neck(tokens, self.backbone.fuse(tokens))

    def reconstruct(self, views: CUDTargets) -> Decomposition:
        """Parts, fused image and masked feature modeling of two views."""
        tokens = self.backbone.decompose(views.view1, views.view2)
        ids = self.neck.draw_visible(tokens)
        visible = self.backbone.fuse(tokens.keep(ids))
        return self.neck(tokens, self.backbone.fuse(tokens), visible, ids)

    def make_targets(self, inputs: Tensor, data_samples: list[FusionDataSample]) -> CUDTargets:
        """Views and targets of photos (N, 3, H, W) under the masks of their samples."""
        masks = torch.stack([sample.cud_masks for sample in data_samples])
        return self.target_generator(inputs, masks)

    def loss(self, inputs: Tensor, data_samples: list[FusionDataSample]) -> dict[str, Tensor]:
        """Named losses of photos, (N, 3, H, W)."""
        targets = self.make_targets(inputs, data_samples)
        return self.head.loss(self.reconstruct(targets), targets)

    def predict(self, inputs: Tensor, data_samples: list[FusionDataSample] | None = None) -> list[FusionDataSample]:
        """Predictions, clamped to [0, 1], float32, at the input's size.

        Pairs (N, 6, H, W) get their parts and fused image. Photos (N, 3, H, W), which must bring ``cud_masks``, are
        degraded into two views first and get the views, the target, and the masked reconstruction besides.

        Args:
            inputs: RGB in [0, 1].
            data_samples: Records to write into; made where None.

        Returns:
            The records with ``pred_*`` and, for photos, ``view1``, ``view2`` and ``gt_fused``.
        """
        samples = data_samples or [FusionDataSample() for _ in inputs]
        if inputs.size(1) == 3:
            targets = self.make_targets(inputs, samples)
            fields = dict(view1=targets.view1, view2=targets.view2, gt_fused=targets.fused)
            images = self.reconstruct(targets)
        else:
            fields = {}
            images = self.decode(*inputs.split(3, dim=1))
        for name, image in images._asdict().items():
            if image is not None:
                fields[f'pred_{name}'] = image.float().clamp(0, 1)
        for index, sample in enumerate(samples):
            sample.set_data({name: image[index] for name, image in fields.items()})
        return samples
