# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch

from mmdefusion.evaluation.metrics import ReconstructionMetric


def sample(offset, **more):
    truth = torch.full((3, 16, 16), 0.5)
    return dict(gt_fused=truth, pred_fused=truth + offset, **more)


def test_values_by_hand():
    metric = ReconstructionMetric()
    metric.process({}, [sample(0.1), sample(0.01)])
    metric.process({}, [sample(0.0, pred_masked=torch.zeros(3, 16, 16)), dict(pred_fused=torch.rand(3, 16, 16))])
    scores = metric.evaluate(size=3)
    assert scores['psnr_fused'] == pytest.approx((20 + 40 + 100) / 3, abs=1e-3)
    assert scores['psnr_masked'] == pytest.approx(6.0206, abs=1e-3)
    c1 = 0.01**2
    similarity = [(2 * 0.5 * y + c1) / (0.25 + y * y + c1) for y in (0.6, 0.51, 0.5)]
    assert scores['ssim_fused'] == pytest.approx(sum(similarity) / 3, abs=1e-3)
    assert scores['ssim_masked'] == pytest.approx(c1 / (0.25 + c1), abs=1e-3)
