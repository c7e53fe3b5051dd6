# Copyright (c) mmdefusion authors. All rights reserved.
"""What a linear map can read from features: segmentation labels."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BATCH_SIZE = 2048
_LEARNING_RATE = 3e-3
_WEIGHT_DECAY = 1e-2


class ProbeResult(NamedTuple):
    """How well the labels of places that the probe was not fitted to are read.

    Attributes:
        cross_entropy: Mean over labels.
        iou: Intersection over union of each class in percent; NaN for one that is neither there nor predicted.
    """

    cross_entropy: float
    iou: list[float]


def cells(labels: Tensor, patch_size: int, per_side: int) -> Tensor:
    """Labels at the centres of equal cells of each patch.

    Args:
        labels: (H, W) integers, H and W whole patches.
        patch_size: Side of a patch in pixels, a multiple of ``per_side``.
        per_side: Cells along a side of a patch.

    Returns:
        (H / patch_size * W / patch_size, per_side**2), patches and cells in the order of rows.
    """
    step = patch_size // per_side
    sampled = labels[step // 2 :: step, step // 2 :: step]
    rows, columns = (side // per_side for side in sampled.shape)
    return sampled.view(rows, per_side, columns, per_side).permute(0, 2, 1, 3).reshape(rows * columns, -1)


def linear_probe(
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    num_classes: int,
    steps: int = 1500,
    seed: int = 0,
) -> ProbeResult:
    """Fits one linear map from standardised features to the labels of a place's cells, and scores it on other places.

    Args:
        train: Features (M, D) and labels (M, k) of the places to fit.
        val: The same of those to score.
        num_classes: Number of classes.
        steps: Steps of AdamW with a rate that falls to 0, each on places drawn at random.
        seed: Seed of the draws.

    Returns:
        Cross entropy and intersection over union on the places of ``val``.
    """
    (features, labels), (val_features, val_labels) = train, val
    mean, std = features.mean(0), features.std(0) + 1e-6
    features, val_features = (features - mean) / std, (val_features - mean) / std
    linear = nn.Linear(features.size(1), labels.size(1) * num_classes)
    nn.init.zeros_(linear.weight)
    # From the frequencies of the classes on: steps are too few to find those of rare ones.
    counts = torch.bincount(labels.flatten(), minlength=num_classes) + 1
    with torch.no_grad():
        linear.bias.copy_((counts / counts.sum()).log().repeat(labels.size(1)))
    optimizer = torch.optim.AdamW(linear.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        batch = torch.randint(len(features), (_BATCH_SIZE,), generator=generator)
        logits = linear(features[batch]).view(-1, num_classes)
        loss = F.cross_entropy(logits, labels[batch].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        logits, truth = linear(val_features).view(-1, num_classes), val_labels.flatten()
        cross_entropy = F.cross_entropy(logits, truth).item()
    predicted = logits.argmax(1)
    iou = []
    for index in range(num_classes):
        found, there = predicted == index, truth == index
        union = (found | there).sum().item()
        iou.append(100 * (found & there).sum().item() / union if union else float('nan'))
    return ProbeResult(cross_entropy, iou)
