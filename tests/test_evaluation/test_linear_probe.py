# Copyright (c) mmdefusion authors. All rights reserved.
import math

import pytest
import torch
import torch.nn.functional as F

from mmdefusion.evaluation.linear_probe import cells, linear_probe


def test_cells_in_the_order_of_patches():
    """Patches of 4 pixels in 2 x 2 cells of 2: the label of a cell is that of its pixel (1, 1)."""
    labels = torch.arange(8 * 12).view(8, 12)
    result = cells(labels, patch_size=4, per_side=2)
    assert result.shape == (2 * 3, 4)
    assert result[0].tolist() == [13, 15, 37, 39]  # rows 1 and 3, columns 1 and 3
    assert result[4].tolist() == [65, 67, 89, 91]  # second row of patches, second column


def test_labels_that_are_in_the_features_are_read():
    torch.manual_seed(0)
    labels = torch.randint(3, (6000, 2))
    features = F.one_hot(labels, 3).flatten(1).float() @ torch.randn(6, 12)
    result = linear_probe((features[:4000], labels[:4000]), (features[4000:], labels[4000:]), num_classes=4)
    assert result.iou[:3] == [100.0] * 3
    assert math.isnan(result.iou[3])  # neither there nor predicted
    assert result.cross_entropy < 0.1


def test_labels_that_are_not_in_the_features_are_guessed_by_their_frequency():
    torch.manual_seed(0)
    labels = (torch.rand(4000, 1) < 0.2).long()
    result = linear_probe((torch.randn(4000, 2), labels), (torch.randn(4000, 2), labels), num_classes=2, steps=600)
    entropy = -(0.2 * math.log(0.2) + 0.8 * math.log(0.8))
    assert result.cross_entropy == pytest.approx(entropy, abs=0.03)
    assert result.iou == pytest.approx([80, 0], abs=3)


def test_starts_from_the_frequencies():
    """Features that say nothing: after a single step every label is still as likely as it is frequent."""
    labels = torch.tensor([[0], [0], [0], [1]]).repeat(100, 1)
    data = (torch.zeros(400, 1), labels)
    result = linear_probe(data, data, num_classes=2, steps=1)
    assert result.cross_entropy == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)), abs=1e-3)
    assert result.iou == [75.0, 0.0]
