# Copyright (c) mmdefusion authors. All rights reserved.
import os

import numpy as np
import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmdefusion.apis import FusionInferencer
from mmdefusion.datasets.sample_pairs import make_sample_pairs
from mmdefusion.models import DeFusionViT
from mmdefusion.weights import SHIPPED_WEIGHTS, local_checkpoint, shipped_weights


@pytest.mark.parametrize('name', SHIPPED_WEIGHTS)
def test_files_are_small_and_hold_tensors_only(name):
    path = shipped_weights(name)
    assert os.path.getsize(path) < 16 * 10**6
    content = torch.load(path, weights_only=True)
    assert all(value.isfinite().all() for value in content['state_dict'].values())


@pytest.mark.parametrize('name', SHIPPED_WEIGHTS)
def test_a_config_names_them_as_a_checkpoint(name):
    content = CheckpointLoader.load_checkpoint(f'mmdefusion://{name}', map_location='cpu')
    published = torch.load(shipped_weights(name), weights_only=True)
    assert content['state_dict'].keys() == published['state_dict'].keys()
    assert all(torch.equal(value, content['state_dict'][key]) for key, value in published['state_dict'].items())


def test_a_name_that_is_none_and_a_path():
    with pytest.raises(ValueError, match=r"no weights 'medical' come with the package.*'pretext'"):
        CheckpointLoader.load_checkpoint('mmdefusion://medical')
    assert local_checkpoint('work_dirs/a.pth') == 'work_dirs/a.pth'


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


@pytest.mark.parametrize('task', ['infrared_visible', 'multi_exposure'])
def test_tiles_of_the_default_do_not_show(task):
    pair = make_sample_pairs([task], height=500)[task]
    # 16 bits: no difference hides in the rounding to gray levels.
    sources = tuple(source.astype(np.uint16) * 257 for source in (pair.source1, pair.source2))
    options = dict(device='cpu', color='gray', show_progress=False)
    whole = FusionInferencer(memory_budget=float('inf'), **options)(sources)['predictions'][0]
    fuse = FusionInferencer(tile_size=480, **options)
    difference = (fuse(sources)['predictions'][0] / 257.0) - whole / 257.0
    plan = fuse.planners[16].plan(*whole.shape)
    assert [len(spans) for spans in plan] == [2, 3]
    inside = np.ones(whole.shape, bool)
    for axis, spans in enumerate(plan):
        steps = np.moveaxis(np.abs(np.diff(difference, axis=axis)), axis, 0)
        for span in spans[1:]:
            end = span.keep_start + span.ramp_before
            assert span.ramp_before > 0
            # Neither where the blending of rows or columns begins nor where it ends is there a step.
            assert max(steps[span.keep_start - 1].max(), steps[end - 1].max()) < 0.5
            np.moveaxis(inside, axis, 0)[span.keep_start : end] = False
    assert inside.mean() > 0.3 and np.abs(difference[inside]).max() < 1
    # Where two tiles are blended neither is sure; what they differ by fades over a hundred pixels.
    assert np.abs(difference).max() < 4


def test_the_backbone_alone_fuses_nothing():
    with pytest.raises(ValueError, match=r"backbone.pth: holds no whole model, .* 'fusion' and 'pretext'"):
        FusionInferencer(weights='backbone', device='cpu', show_progress=False)


def test_unknown_name():
    with pytest.raises(ValueError, match=r"no weights 'medical' come .* found \['backbone', 'fusion', 'pretext'\]"):
        shipped_weights('medical')
