# Copyright (c) mmdefusion authors. All rights reserved.
"""DeFusion++: pretraining without labels, and fusion of any pair."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModel, ModuleList
from torch import Tensor

from mmdefusion.registry import MODELS
from mmdefusion.structures import FusionDataSample

from ..layers import TokenGrid, patchify, reflect_pad
from ..necks import Decomposition
from ..target_generators import CUDTargets


@MODELS.register_module()
class DeFusionPP(BaseModel):
    """DeFusion++ (Liang et al., arXiv 2410.12274): common and unique decomposition with masked feature modeling.

    In training, batches of photos and batches of pairs may alternate, see ``AlternatingBatchSampler``.

    Args:
        backbone: Config of the encoder with decomposition and fusion, see ``DeFusionViT``.
        neck: Config of the decoder, see ``DeFusionDecoder``.
        head: Config of the losses of photos, see ``DeFusionHead``; only pretraining needs it.
        target_generator: Config of what makes views and targets, see ``CUDTargetGenerator``; only pretraining needs it.
        mcud_head: Config of the losses of multi-modal pairs, see ``MCUDHead``.
        teachers: Configs of the encoders that give ``mcud_head`` its targets, see ``FrozenEncoder``: that of the first
            source's modality, then that of the second's.
        fusion_head: Config of the losses of fused pairs.
        restored: By kind of pair, the share of its training batches, 0 to 1, whose fused images get the restoration of
            :class:`DetailDecoder`, as those of photos do. Predictions of pairs never have it. It takes up what a loss
            asks for and no choice between the sources gives, brightness that neither has for example, and which would
            bend that choice; the batches without it keep what is left of use.
        data_preprocessor: Config of the preprocessor.
        init_cfg: As in MMEngine.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        head: dict | None = None,
        target_generator: dict | None = None,
        mcud_head: dict | None = None,
        teachers: Sequence[dict] = (),
        fusion_head: dict | None = None,
        restored: dict[str, float] | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor or dict(type='mmdefusion.FusionDataPreprocessor'), init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        self.head = head and MODELS.build(head)
        self.target_generator = target_generator and MODELS.build(target_generator)
        self.mcud_head = mcud_head and MODELS.build(mcud_head)
        self.fusion_head = fusion_head and MODELS.build(fusion_head)
        self.restored = dict(restored or {})
        if not all(0 <= share <= 1 for share in self.restored.values()):
            raise ValueError(f'restored: found {self.restored}; expected shares from 0 to 1')
        if self.restored and not self.neck.can_restore:
            raise ValueError(
                f'restored: found {self.restored}, but the decoder has no restoration; expected an arch with '
                'detail_dims, or none of them'
            )
        if len(teachers) != (2 if mcud_head else 0):
            raise ValueError(
                f'found {len(teachers)} teachers and mcud_head={mcud_head}; expected an mcud_head with two teachers, '
                'that of the first source and that of the second, or neither'
            )
        self.teachers = ModuleList(MODELS.build(teacher) for teacher in teachers)

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
            if not hasattr(head, 'pred'):
                continue
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
                named losses, ``'predict'`` the samples with their predictions.
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
        return self.neck(tokens, self.backbone.fuse(tokens), x1, x1 if x2 is None else x2)

    def decode_fused(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The fused image of pairs (N, 3, H, W) alone."""
        tokens = self.backbone.decompose(x1, x2)
        return self.neck.decode_fused(self.backbone.fuse(tokens), tokens, x1, x2)

    def reconstruct(self, views: CUDTargets) -> Decomposition:
        """Parts, fused image and masked feature modeling of two views."""
        tokens = self.backbone.decompose(views.view1, views.view2)
        ids = self.neck.draw_visible(tokens)
        visible = self.backbone.fuse(tokens.keep(ids))
        return self.neck(tokens, self.backbone.fuse(tokens), views.view1, views.view2, visible, ids)

    def make_targets(self, inputs: Tensor, data_samples: list[FusionDataSample]) -> CUDTargets:
        """Views and targets of photos (N, 3, H, W) under the masks of their samples."""
        masks = torch.stack([sample.cud_masks for sample in data_samples])
        return self.target_generator(inputs, masks)

    def loss(self, inputs: Tensor, data_samples: list[FusionDataSample]) -> dict[str, Tensor]:
        """Named losses.

        Args:
            inputs: RGB in [0, 1]: photos (N, 3, H, W), which go to ``head``, or pairs (N, 6, H, W), which go to
                ``mcud_head``, if it takes their kind, and to ``fusion_head``.
            data_samples: The samples' records.

        Raises:
            ValueError: The model has no head for such a batch.
        """
        photos = inputs.size(1) == 3
        losses = (self.photo_loss if photos else self.pair_loss)(inputs, data_samples)
        if not losses:
            heads = 'head with its target_generator' if photos else 'mcud_head that takes this kind, or fusion_head'
            kinds = sorted({str(sample.get('kind')) for sample in data_samples})
            raise ValueError(
                f'a training batch of shape {tuple(inputs.shape)} (kind {", ".join(kinds)}) has no loss: the model '
                f'needs a {heads}'
            )
        return losses

    def photo_loss(self, photos: Tensor, data_samples: list[FusionDataSample]) -> dict[str, Tensor]:
        """Losses of common and unique decomposition and masked feature modeling of photos (N, 3, H, W)."""
        if self.head is None or self.target_generator is None:
            return {}
        targets = self.make_targets(photos, data_samples)
        return self.head.loss(self.reconstruct(targets), targets)

    def pair_loss(self, pairs: Tensor, data_samples: list[FusionDataSample]) -> dict[str, Tensor]:
        """Losses of multi-modal decomposition and of fusion of pairs (N, 6, H, W)."""
        sources = pairs.split(3, dim=1)
        losses = {}
        if self.mcud_head is not None and self.mcud_head.takes(data_samples):
            tokens = self.backbone.decompose(*sources, both_orders=True)
            losses.update(self.mcud_head.loss(tokens, self.teach(*sources)))
            tokens = tokens.first_order()
        elif self.fusion_head is not None:
            tokens = self.backbone.decompose(*sources)
        if self.fusion_head is not None:
            share = min(self.restored.get(sample.get('kind'), 0.0) for sample in data_samples)
            restore = share > 0 and torch.rand(()).item() < share
            fused = self.neck.decode_fused(self.backbone.fuse(tokens), tokens, *sources, restore=restore)
            losses.update(self.fusion_head.loss(fused, *sources, data_samples))
        return losses

    def teach(self, x1: Tensor, x2: Tensor) -> list[Tensor]:
        """The teachers' tokens of both sources (N, 3, H, W), class token first.

        Returns:
            (N, 1 + h*w, E) for each source, with h = ceil(H / p) and w = ceil(W / p) of the backbone's patches, in the
            order of rows.
        """
        patch_size = self.backbone.arch.patch_size
        hw = tuple(-(-side // patch_size) for side in x1.shape[-2:])
        whole = [reflect_pad(image, *(side * patch_size for side in hw)) for image in (x1, x2)]
        return [teacher(image, hw) for teacher, image in zip(self.teachers, whole, strict=True)]

    def predict(
        self, inputs: Tensor, data_samples: list[FusionDataSample] | None = None, parts: bool = True
    ) -> list[FusionDataSample]:
        """Predictions, clamped to [0, 1], float32, at the input's size.

        Pairs (N, 6, H, W) get their parts and fused image. Photos (N, 3, H, W), which must bring ``cud_masks``, are
        degraded into two views first and get the views, the target, and the masked reconstruction besides.

        Args:
            inputs: RGB in [0, 1].
            data_samples: Records to write into; made where None.
            parts: Whether pairs get their parts too; without them some heads need not run.

        Returns:
            The records with ``pred_*`` and, for photos, ``view1``, ``view2`` and ``gt_fused``.
        """
        samples = data_samples or [FusionDataSample() for _ in inputs]
        if inputs.size(1) == 3:
            targets = self.make_targets(inputs, samples)
            fields = dict(view1=targets.view1, view2=targets.view2, gt_fused=targets.fused)
            images = self.reconstruct(targets)._asdict()
        else:
            fields = {}
            sources = inputs.split(3, dim=1)
            images = self.decode(*sources)._asdict() if parts else dict(fused=self.decode_fused(*sources))
        for name, image in images.items():
            if image is not None:
                fields[f'pred_{name}'] = image.float().clamp(0, 1)
        for index, sample in enumerate(samples):
            sample.set_data({name: image[index] for name, image in fields.items()})
        return samples
