# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch

from mmdefusion.models import FusionDataPreprocessor
from mmdefusion.structures import FusionDataSample


def test_bgr_bytes_become_rgb_between_0_and_1_for_each_source():
    pair = torch.tensor([0, 51, 102, 153, 204, 255], dtype=torch.uint8).view(6, 1, 1).expand(6, 2, 2)
    batch = FusionDataPreprocessor()(dict(inputs=[pair, pair]))
    assert batch['inputs'].shape == (2, 6, 2, 2)
    assert batch['inputs'][0, :, 0, 0].tolist() == pytest.approx([0.4, 0.2, 0.0, 1.0, 0.8, 0.6])


def test_stacked_and_float_inputs():
    photos = torch.rand(2, 3, 4, 4) * 255
    samples = [FusionDataSample(), FusionDataSample()]
    stacked = FusionDataPreprocessor()(dict(inputs=photos, data_samples=samples))
    assert torch.equal(stacked['inputs'], FusionDataPreprocessor()(dict(inputs=list(photos)))['inputs'])
    torch.testing.assert_close(stacked['inputs'][:, 0], photos[:, 2] / 255)
    assert len(stacked['data_samples']) == 2


def test_images_of_two_shapes():
    samples = [FusionDataSample(metainfo=dict(img_path=name)) for name in ('a.png', 'b.png')]
    with pytest.raises(ValueError, match=r"\(3, 4, 4\), \(3, 4, 5\).*'a.png', 'b.png'.*batch_size=1"):
        FusionDataPreprocessor()(dict(inputs=[torch.zeros(3, 4, 4), torch.zeros(3, 4, 5)], data_samples=samples))


def test_odd_channels():
    with pytest.raises(ValueError, match=r'expected 3 or 6 channels .* got shape \(1, 4, 2, 2\)'):
        FusionDataPreprocessor()(dict(inputs=[torch.zeros(4, 2, 2)]))
