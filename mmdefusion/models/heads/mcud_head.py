# Copyright (c) mmdefusion authors. All rights reserved.
"""The losses of multi-modal common and unique decomposition."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdefusion.registry import MODELS
from mmdefusion.structures import FusionDataSample

from ..layers import DecomposedTokens, get_arch, to_map


@MODELS.register_module()
class MCUDHead(BaseModule):
    """Multi-modal CUD (DeFusion++, Fig. 5): what is common and what is unique together explain a modality's features.

    With C12 and C21 the common parts in both orders of the sources, U1 and U2 the unique ones (deep and skip stream
    added), T1 and T2 the tokens of frozen modality teachers, N a LayerNorm without weights, LN_i one with weights, and
    P_i a linear map, all means over samples, tokens and channels:

    ``L1(T1, P1(LN1(U1) + N(C12))) + L1(T2, P2(LN2(U2) + N(C21))) + L1(N(C12), N(C21))``

    The teachers' class tokens are no targets, since the network here has none.

    Args:
        arch: Sizes, the same as the backbone's.
        teacher_dims: Widths of the teachers of the first and of the second source.
        source1_weight: Weight of the prediction of the first teacher.
        source2_weight: Weight of the prediction of the second teacher.
        consistency_weight: Weight of the distance between both common parts; 0 leaves the term out.
        kinds: Kinds of pairs that the head takes, as datasets name them by ``kind``; None takes every pair.
        init_cfg: As in MMEngine.
    """

    def __init__(
        self,
        arch: str | dict = 'tiny',
        teacher_dims: tuple[int, int] = (768, 768),
        source1_weight: float = 1.0,
        source2_weight: float = 1.0,
        consistency_weight: float = 1.0,
        kinds: Sequence[str] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.arch = get_arch(arch)
        self.source_weights = (source1_weight, source2_weight)
        self.consistency_weight = consistency_weight
        self.kinds = kinds and set(kinds)
        dims = self.arch.embed_dims
        self.norms = nn.ModuleList(nn.LayerNorm(dims) for _ in range(2))
        self.preds = nn.ModuleList(nn.Linear(dims, teacher_dim) for teacher_dim in teacher_dims)
        # A random prediction is noise: until it has learned, it would teach the tokens to be silent.
        for pred in self.preds:
            nn.init.zeros_(pred.weight)
            nn.init.zeros_(pred.bias)

    def takes(self, data_samples: list[FusionDataSample]) -> bool:
        """Whether the head is for pairs of the samples' kind."""
        return self.kinds is None or all(sample.get('kind') in self.kinds for sample in data_samples)

    def loss(self, tokens: DecomposedTokens, targets: Sequence[Tensor]) -> dict[str, Tensor]:
        """Named, weighted losses.

        Args:
            tokens: Parts of N pairs, the common ones in both orders, (2N, L, D).
            targets: Tokens of the first and of the second teacher, (N, 1 + h*w, E_i), class token first, the others in
                the order of rows; L may have padding to whole windows besides.

        Returns:
            Scalars ``loss_mcud_source1``, ``loss_mcud_source2`` and ``loss_mcud_consistency``.

        Raises:
            ValueError: A teacher's tokens do not have the number or the width that is expected.
        """
        uniques = self._in_rows(tokens.unique + tokens.skip_unique, tokens)
        commons = [_normalize(common) for common in self._in_rows(tokens.common + tokens.skip_common, tokens)]
        losses = {}
        for index, (unique, common, target) in enumerate(zip(uniques, commons, targets, strict=True)):
            pred = self.preds[index](self.norms[index](unique) + common).float()
            patches = target[:, 1:]
            if patches.shape != pred.shape:
                raise ValueError(
                    f'teacher {index + 1} gives patch tokens of shape {tuple(patches.shape)}; expected '
                    f'{tuple(pred.shape)}: check teacher_dims of MCUDHead'
                )
            losses[f'loss_mcud_source{index + 1}'] = self.source_weights[index] * F.l1_loss(pred, patches.float())
        if self.consistency_weight:
            losses['loss_mcud_consistency'] = self.consistency_weight * F.l1_loss(*commons)
        return losses

    def _in_rows(self, parts: Tensor, tokens: DecomposedTokens) -> tuple[Tensor, Tensor]:
        """(2N, L, D) to two times (N, h*w, D), in the order of rows and without the padding to whole windows."""
        rows, columns = (-(-side // self.arch.patch_size) for side in tokens.image_size)
        return to_map(parts, tokens.grid)[..., :rows, :columns].flatten(2).transpose(1, 2).chunk(2)


def _normalize(tokens: Tensor) -> Tensor:
    """LayerNorm without weights, in float32."""
    with torch.autocast(tokens.device.type, enabled=False):
        return F.layer_norm(tokens.float(), tokens.shape[-1:])
