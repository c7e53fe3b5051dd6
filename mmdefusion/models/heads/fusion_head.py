# Copyright (c) mmdefusion authors. All rights reserved.
"""The loss of unsupervised adaptation to fusion: what a fused image should keep of two real sources."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmdefusion.registry import MODELS
from mmdefusion.structures import FusionDataSample

from ..layers.statistics import luma
from ..losses import (
    contrast_shortfall,
    difference_correlation,
    edge_fidelity,
    exposure_fidelity,
    mutual_information,
    ssim,
    strongest_gradient_error,
    unfounded_steps,
    visual_fidelity,
)

#: Side of the squares whose mean brightness is compared, and how far it should lean from the mean of both sources to
#: the brighter one: as far at all places, or one tone of the scene gets several.
_BRIGHTNESS_WINDOW = 16
_BRIGHTNESS_LEANING = 0.2


def _structure(x1: Tensor, x2: Tensor, fused: Tensor) -> Tensor:
    return 1 - (ssim(x1, fused) + ssim(x2, fused)) / 2


def _fidelity(x1: Tensor, x2: Tensor, fused: Tensor) -> Tensor:
    return 1 - (visual_fidelity(x1, fused) + visual_fidelity(x2, fused)) / 2


def _information(x1: Tensor, x2: Tensor, fused: Tensor) -> Tensor:
    return 1 - (mutual_information(x1, fused) + mutual_information(x2, fused)) / 2


def _edge(x1: Tensor, x2: Tensor, fused: Tensor) -> Tensor:
    return 1 - edge_fidelity(x1, x2, fused)


def _difference(x1: Tensor, x2: Tensor, fused: Tensor) -> Tensor:
    return 2 - difference_correlation(x1, x2, fused)


def _intensity(x1: Tensor, x2: Tensor, fused: Tensor) -> Tensor:
    return (fused - torch.maximum(x1, x2)).abs().mean(dim=(1, 2, 3))


def _brightness(x1: Tensor, x2: Tensor, fused: Tensor) -> Tensor:
    wanted = (x1 + x2) / 2 + _BRIGHTNESS_LEANING * (x1 - x2).abs() / 2
    return F.avg_pool2d(fused - wanted, _BRIGHTNESS_WINDOW, ceil_mode=True).abs().mean(dim=(1, 2, 3))


def _exposure(x1: Tensor, x2: Tensor, fused: Tensor) -> Tensor:
    return 1 - exposure_fidelity(x1, x2, fused)


#: Terms of the lumas of two sources and of the fused image, (N, 1, H, W) each, that are better when smaller.
SOURCE_TERMS = dict(
    structure=_structure,
    fidelity=_fidelity,
    information=_information,
    edge=_edge,
    gradient=strongest_gradient_error,
    contrast=contrast_shortfall,
    difference=_difference,
    intensity=_intensity,
    brightness=_brightness,
    steps=unfounded_steps,
    exposure=_exposure,
)
#: Terms that compare the fused image with the truth of a generated pair.
TRUTH_TERMS = ('truth', 'truth_structure')


@MODELS.register_module()
class FusionHead(BaseModule):
    """Weighted losses of the fused image of a pair, chosen by the kind of the pair.

    The network never learns the kind: only the choice of terms depends on it, in training. Terms of the lumas:
    ``structure`` (1 - mean SSIM with both sources), ``fidelity`` (1 - mean VIF), ``information`` (1 - mean share of
    the sources' entropy that is mutual information with the fused image), ``edge`` (1 - Qabf), ``gradient``
    (difference from the stronger gradient), ``contrast`` (what is missing to the better source's local contrast and a
    surplus), ``difference`` (2 - SCD), ``intensity`` (difference from the brighter source), ``brightness`` (difference
    of the mean over squares of 16 pixels from that of both sources, leaning to the brighter one by 20 % of the way),
    ``steps`` (changes of brightness from place to place that neither source has), ``exposure`` (1 - MEF-SSIM). For
    generated pairs, which bring ``gt_fused``: ``truth`` (L1 in RGB) and ``truth_structure`` (1 - SSIM in RGB).
    ``range``, always on, is 10 times what lies outside of [0, 1].

    Args:
        weights: For each kind (``kind`` of the data samples) a dict of weights by term.
    """

    def __init__(self, weights: dict[str, dict[str, float]]) -> None:
        super().__init__()
        for kind, terms in weights.items():
            unknown = sorted(set(terms) - set(SOURCE_TERMS) - set(TRUTH_TERMS))
            if unknown or not terms:
                raise ValueError(
                    f'weights of kind {kind!r}: found {sorted(terms)}; expected some of {[*SOURCE_TERMS, *TRUTH_TERMS]}'
                )
        self.weights = {kind: dict(terms) for kind, terms in weights.items()}

    def _weights_of(self, data_samples: list[FusionDataSample]) -> tuple[str, dict[str, float]]:
        kinds = {sample.get('kind') for sample in data_samples}
        if len(kinds) != 1 or not kinds <= set(self.weights):
            raise ValueError(
                f'a batch of pairs must be of one kind, one of {sorted(self.weights)}, found {sorted(map(str, kinds))}'
            )
        kind = kinds.pop()
        return kind, self.weights[kind]

    def loss(self, fused: Tensor, x1: Tensor, x2: Tensor, data_samples: list[FusionDataSample]) -> dict[str, Tensor]:
        """Named, weighted losses, each a mean over samples.

        Args:
            fused: Fused images, (N, 3, H, W), not clamped.
            x1: First sources, RGB in [0, 1], (N, 3, H, W).
            x2: Second sources.
            data_samples: Records with ``kind``, and with ``gt_fused`` where a term asks for the truth.

        Returns:
            Scalars ``loss_KIND_TERM``.

        Raises:
            ValueError: The batch is not of one known kind, or has no truth for a term that asks for it.
        """
        kind, weights = self._weights_of(data_samples)
        with torch.autocast(x1.device.type, enabled=False):
            fused = fused.float()
            lumas = [luma(image) for image in (x1.float(), x2.float(), fused)]
            losses = {'range': 10 * (fused - fused.clamp(0, 1)).abs().mean()}
            for name in SOURCE_TERMS.keys() & weights.keys():
                losses[name] = weights[name] * SOURCE_TERMS[name](*lumas).mean()
            if set(TRUTH_TERMS) & weights.keys():
                truth = self._truth(data_samples, fused)
                losses['truth'] = weights.get('truth', 0) * F.l1_loss(fused, truth)
                losses['truth_structure'] = weights.get('truth_structure', 0) * (1 - ssim(fused, truth).mean())
        return {f'loss_{kind}_{name}': value for name, value in sorted(losses.items())}

    @staticmethod
    def _truth(data_samples: list[FusionDataSample], like: Tensor) -> Tensor:
        if not all('gt_fused' in sample for sample in data_samples):
            raise ValueError("the terms 'truth' and 'truth_structure' need samples with gt_fused: generated pairs")
        return torch.stack([sample.gt_fused for sample in data_samples]).to(like)
