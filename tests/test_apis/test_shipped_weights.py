# Copyright (c) mmdefusion authors. All rights reserved.
import os

import numpy as np
import pytest
import torch

from mmdefusion.apis import FusionInferencer
from mmdefusion.datasets.sample_pairs import make_sample_pairs
from mmdefusion.models import DeFusionViT
from mmdefusion.weights import SHIPPED_WEIGHTS, shipped_weights


@pytest.mark.parametrize('name', SHIPPED_WEIGHTS)
def test_files_are_small_and_hold_tensors_only(name):
    path = shipped_weights(name)
    assert os.path.getsize(path) < 16 * 10**6
    content = torch.load(path, weights_only=True)
    assert all(value.isfinite().all() for value in content['state_dict'].values())


@pytest.mark.parametrize('name', SHIPPED_WEIGHTS)
def test_the_backbone_takes_every_weight(name):
    """A detector's backbone gets the published tensors, all of them, and no other."""
    backbone = DeFusionViT(
        'nano', init_cfg=dict(type='Pretrained', checkpoint=shipped_weights(name), prefix='backbone.')
    )
    backbone.init_weights()
    published = torch.load(shipped_weights(name), weights_only=True)['state_dict']
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, published[f'backbone.{key}'].float()), key


def test_the_default_fuses_better_than_the_mean():
    pair = make_sample_pairs(['multi_focus'])['multi_focus']
    fused = FusionInferencer(device='cpu', color='rgb', show_progress=False)((pair.source1, pair.source2))
    truth = pair.ground_truth.astype(float)

    def error(image):
        return np.square(image.astype(float) - truth).mean()

    mean = (pair.source1.astype(float) + pair.source2) / 2
    assert error(fused['predictions'][0]) < 0.8 * error(mean)


def test_unknown_name():
    with pytest.raises(ValueError, match=r"no weights 'medical' come with the package; found \['fusion', 'pretext'\]"):
        shipped_weights('medical')
