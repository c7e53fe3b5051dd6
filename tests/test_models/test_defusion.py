# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch

from mmdefusion.registry import MODELS
from mmdefusion.structures import FusionDataSample
from mmdefusion.testing import tiny_model_cfg


def make_photos(number=2, size=(32, 32)):
    masks = torch.randint(0, 2, (number, 2, *size), dtype=torch.uint8)
    masks[:, 1] |= 1 - masks[:, 0]
    return torch.rand(number, 3, *size), [FusionDataSample(cud_masks=mask) for mask in masks]


def test_gradients_reach_every_parameter():
    model = MODELS.build(tiny_model_cfg()).train()
    sum(model(*make_photos(), mode='loss').values()).backward()
    without = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.abs().sum()]
    assert without == []


def test_global_attention_trains_too():
    model = MODELS.build(tiny_model_cfg(window_size=None, cross_dropout=0.1)).train()
    losses = model(*make_photos(), mode='loss')
    sum(losses.values()).backward()
    assert all(value.isfinite() for value in losses.values())


def test_a_seed_repeats_a_loss_bit_for_bit():
    model = MODELS.build(tiny_model_cfg(cross_dropout=0.1)).train()
    photos = make_photos()
    totals = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        totals.append(sum(model(*photos, mode='loss').values()).item())
    assert totals[0] == totals[1] != totals[2]


def test_learns_to_reconstruct():
    torch.manual_seed(0)
    model = MODELS.build(tiny_model_cfg()).train()
    photos = make_photos(4)
    smooth = torch.nn.functional.interpolate(torch.rand(4, 3, 4, 4), size=32, mode='bilinear')
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    history = []
    for _ in range(100):
        losses = model(smooth, photos[1], mode='loss')
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append({name: value.item() for name, value in losses.items()})
    for name in ('loss_common', 'loss_unique1', 'loss_unique2', 'loss_fused', 'loss_masked'):
        assert history[-1][name] < 0.8 * history[0][name], name


def test_modes():
    model = MODELS.build(tiny_model_cfg()).eval()
    pair = torch.rand(2, 6, 20, 28)
    images = model(pair)
    samples = model(pair, mode='predict')
    assert torch.equal(samples[1].pred_fused, images.fused[1].clamp(0, 1))
    assert sorted(samples[0].keys()) == ['pred_common', 'pred_fused', 'pred_unique1', 'pred_unique2']
    with pytest.raises(ValueError, match="mode must be .* got 'train'"):
        model(pair, mode='train')


def test_predictions_of_photos_come_with_views_and_truth():
    model = MODELS.build(tiny_model_cfg()).eval()
    photos, samples = make_photos(2, (24, 20))
    (first, _) = model(photos, samples, mode='predict')
    assert torch.equal(first.gt_fused, photos[0])
    seen = samples[0].cud_masks[0].bool()
    assert torch.equal(first.view1[:, seen], photos[0][:, seen])
    assert first.pred_masked.shape == (3, 24, 20)
    assert 0 <= first.pred_fused.min() and first.pred_fused.max() <= 1


def test_fusion_alone_needs_no_head():
    config = {key: value for key, value in tiny_model_cfg().items() if key not in ('head', 'target_generator')}
    model = MODELS.build(config).eval()
    sample = model.test_step(dict(inputs=[torch.zeros(6, 9, 9, dtype=torch.uint8)]))[0]
    assert sample.pred_fused.shape == (3, 9, 9)
