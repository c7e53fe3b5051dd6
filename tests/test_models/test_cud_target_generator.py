# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch

from mmdefusion.models import CUDTargetGenerator


def test_targets_by_hand():
    img = torch.tensor([0.2, 0.4, 0.6]).view(1, 1, 1, 3).repeat(1, 3, 1, 1)
    masks = torch.tensor([[[[1, 1, 0]], [[0, 1, 1]]]], dtype=torch.uint8)  # first, both, second
    targets = CUDTargetGenerator()(img, masks)
    assert targets.common[0, 0, 0].tolist() == pytest.approx([0, 0.4, 0])
    assert targets.unique1[0, 0, 0].tolist() == pytest.approx([0.2, 0, 0])
    assert targets.unique2[0, 0, 0].tolist() == pytest.approx([0, 0, 0.6])
    assert targets.fused is img
    assert targets.view1[0, :, 0, :2].tolist() == img[0, :, 0, :2].tolist()
    assert targets.view2[0, :, 0, 1:].tolist() == img[0, :, 0, 1:].tolist()
    assert (targets.view1[..., 2] != img[..., 2]).all() and (targets.view2[..., 0] != img[..., 0]).all()


def test_parts_sum_to_the_photo_and_swap_with_the_views():
    img = torch.rand(4, 3, 16, 16)
    first = torch.rand(4, 1, 16, 16) < 0.5
    masks = torch.cat([first, ~first | (torch.rand(4, 1, 16, 16) < 0.3)], dim=1)
    targets = CUDTargetGenerator()(img, masks)
    torch.testing.assert_close(targets.common + targets.unique1 + targets.unique2, img)
    swapped = CUDTargetGenerator()(img, masks.flip(1))
    assert torch.equal(swapped.common, targets.common)
    assert torch.equal(swapped.unique1, targets.unique2) and torch.equal(swapped.unique2, targets.unique1)


def test_noise_is_a_clamped_half_normal_of_its_own_in_each_view():
    img, masks = torch.full((2, 3, 64, 64), 0.5), torch.zeros(2, 2, 64, 64)
    targets = CUDTargetGenerator()(img, masks)
    noise = torch.stack([targets.view1, targets.view2])
    assert noise.min() >= 0 and noise.max() == 1
    assert (noise == 1).float().mean().item() == pytest.approx(0.3173, abs=0.01)  # P(|N| >= 1)
    assert noise.mean().item() == pytest.approx(0.3173 + (2 / 3.14159265) ** 0.5 * (1 - 0.60653), abs=0.01)
    assert not torch.equal(targets.view1, targets.view2)


def test_the_seed_decides():
    img, masks = torch.rand(1, 3, 8, 8), torch.zeros(1, 2, 8, 8)
    views = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        views.append(CUDTargetGenerator()(img, masks).view1)
    assert torch.equal(views[0], views[1]) and not torch.equal(views[0], views[2])


def test_masks_of_another_size():
    with pytest.raises(ValueError, match=r'photos of shape \(1, 3, 8, 8\) .* got \(1, 2, 8, 9\)'):
        CUDTargetGenerator()(torch.rand(1, 3, 8, 8), torch.zeros(1, 2, 8, 9))
