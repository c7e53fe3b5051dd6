# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch

from mmdefusion.models import FusionHead
from mmdefusion.registry import MODELS
from mmdefusion.structures import FusionDataSample
from mmdefusion.testing import tiny_model_cfg

WEIGHTS = dict(infrared_visible=dict(intensity=2.0, structure=3.0), multi_focus=dict(truth=5.0, truth_structure=7.0))


def samples(kind, truth=None, number=2):
    result = [FusionDataSample(metainfo=dict(kind=kind)) for _ in range(number)]
    for sample in result if truth is not None else ():
        sample.gt_fused = truth
    return result


def test_values_of_flat_images():
    """Gray 0.2 and 0.6, fused 0.5: 0.1 from the brighter one; SSIM of flat images is their luminance term."""
    x1, x2, fused = (torch.full((2, 3, 48, 48), value) for value in (0.2, 0.6, 0.5))
    losses = FusionHead(WEIGHTS).loss(fused, x1, x2, samples('infrared_visible'))
    luminance = [(2 * s * 0.5 + 1e-4) / (s * s + 0.25 + 1e-4) for s in (0.2, 0.6)]
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(
        {
            'loss_infrared_visible_intensity': 0.2,
            'loss_infrared_visible_range': 0,
            'loss_infrared_visible_structure': 3 * (1 - sum(luminance) / 2),
        },
        abs=5e-4,
    )


def test_brightness_is_compared_over_squares():
    """Fused leans from the mean, 0.4, to 0.6 by 20 %, but for a square; detail that leaves its mean is free."""
    x1, x2, fused = (torch.full((1, 3, 32, 48), value) for value in (0.2, 0.6, 0.44))
    fused[..., ::2] += 0.1
    fused[..., 1::2] -= 0.1
    fused[..., :16, :16] += 0.4
    head = FusionHead(dict(infrared_visible=dict(brightness=3.0)))
    losses = head.loss(fused, x1, x2, samples('infrared_visible', number=1))
    assert losses['loss_infrared_visible_brightness'].item() == pytest.approx(3 * 0.4 / 6, rel=1e-4)


def test_values_against_the_truth_and_outside_of_the_range():
    fused = torch.full((2, 3, 48, 48), 1.1)
    truth = torch.full((3, 48, 48), 0.9)
    losses = FusionHead(WEIGHTS).loss(fused, fused, fused, samples('multi_focus', truth))
    assert losses['loss_multi_focus_range'].item() == pytest.approx(10 * 0.1, rel=1e-4)
    assert losses['loss_multi_focus_truth'].item() == pytest.approx(5 * 0.2, rel=1e-4)
    ssim = (2 * 1.1 * 0.9 + 1e-4) / (1.1**2 + 0.9**2 + 1e-4)
    assert losses['loss_multi_focus_truth_structure'].item() == pytest.approx(7 * (1 - ssim), rel=1e-2)


@pytest.mark.parametrize(
    ('batch', 'message'),
    [
        (samples('medical'), r"one of \['infrared_visible', 'multi_focus'\], found \['medical'\]"),
        (samples('multi_focus', number=1) + samples('infrared_visible', number=1), 'must be of one kind'),
        (samples('multi_focus'), 'need samples with gt_fused'),
    ],
)
def test_bad_batches(batch, message):
    image = torch.rand(2, 3, 48, 48)
    with pytest.raises(ValueError, match=message):
        FusionHead(WEIGHTS).loss(image, image, image, batch)


def test_unknown_term():
    with pytest.raises(ValueError, match=r"weights of kind 'multi_focus': found \['sharpness'\]"):
        FusionHead(dict(multi_focus=dict(sharpness=1)))


def test_adaptation_learns_to_choose_the_sharp_source():
    """Each source is blurred in one half; the untrained network beats their mean, the trained one the untrained."""
    torch.manual_seed(0)
    config = tiny_model_cfg(detail_dims=4)
    config['fusion_head'] = dict(type='mmdefusion.FusionHead', weights=dict(multi_focus=dict(truth=10.0)))
    model = MODELS.build(config).train()
    truth = torch.rand(4, 3, 32, 32)
    blurred = torch.nn.functional.avg_pool2d(truth, 5, 1, 2)
    left = (torch.arange(32) < 16).expand_as(truth)
    pair = torch.cat([torch.where(left, truth, blurred), torch.where(left, blurred, truth)], dim=1)
    batch = samples('multi_focus', number=4)
    for sample, image in zip(batch, truth, strict=True):
        sample.gt_fused = image
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    errors = []
    for _ in range(90):
        losses = model(pair, batch, mode='loss')
        errors.append(losses['loss_multi_focus_truth'].item())
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    assert errors[0] < 0.3 * 10 * (truth - (pair[:, :3] + pair[:, 3:]) / 2).abs().mean().item()
    assert errors[-1] < 0.6 * errors[0]
