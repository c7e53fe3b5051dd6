# Copyright (c) mmdefusion authors. All rights reserved.
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import VISUALIZERS, DefaultScope
from mmengine.structures import PixelData

from mmdefusion.utils.image_io import write_image

CLASSICAL = Path(__file__).resolve().parents[2] / 'configs/_base_/models/classical.py'
HOSTS = [('mmdet', 'PairedDetLocalVisualizer', 'DetDataSample'), ('mmseg', 'PairedSegLocalVisualizer', 'SegDataSample')]


@pytest.fixture(scope='module')
def sources():
    """Gray pictures of different brightness, (16, 24, 3) BGR."""
    rng = np.random.default_rng(0)
    return [
        np.repeat(rng.integers(*limits, (16, 24, 1), dtype=np.uint8), 3, axis=2) for limits in ((0, 99), (100, 255))
    ]


@pytest.fixture(params=HOSTS, ids=lambda host: host[0])
def draw(request, sources, tmp_path):
    """Draws nothing on a background, and gives it back as RGB."""
    host, name, sample_name = request.param
    structures = pytest.importorskip(f'{host}.structures')
    write_image(tmp_path / 'vi/1.png', sources[0])
    write_image(tmp_path / 'ir/1.png', sources[1])

    def run(image, img_path=None, **settings):
        with DefaultScope.overwrite_default_scope(host):
            visualizer = VISUALIZERS.build(
                dict(type=f'mmdefusion.{name}', name=f'{request.node.name} {len(settings)}', **settings)
            )
            visualizer.dataset_meta = dict(classes=('thing',), palette=[(0, 0, 0)])
            meta = {} if img_path is None else dict(img_path=str(tmp_path / img_path))
            sample, arguments = getattr(structures, sample_name)(metainfo=meta), {}
            if host == 'mmseg':
                sample.pred_sem_seg = PixelData(data=torch.zeros(1, *image.shape[:2], dtype=torch.long))
                visualizer.alpha, arguments = 0.0, dict(with_labels=False)
            visualizer.add_datasample('picture', image, sample, draw_gt=False, **arguments)
            # A later look-up of unprefixed types must find the host's.
            assert DefaultScope.get_current_instance().scope_name == host
        return visualizer.get_image()

    return run


@pytest.mark.smoke
def test_background_of_a_hook(draw, sources):
    rgb = np.ascontiguousarray(sources[0][..., ::-1])
    np.testing.assert_array_equal(draw(rgb, 'vi/1.png'), rgb)
    np.testing.assert_array_equal(draw(rgb, 'vi/1.png', background='partner'), sources[1][..., ::-1])
    fuser = dict(model=dict(model={**Config.fromfile(CLASSICAL).model, 'method': 'maximum'}))
    fused = draw(rgb, 'vi/1.png', background='fused', fuser=fuser)
    assert np.abs(fused.astype(int) - np.maximum(*sources)).max() <= 1


def test_background_of_an_array(draw, sources):
    pair = np.concatenate(sources, axis=2)
    np.testing.assert_array_equal(draw(pair), sources[0][..., ::-1])
    np.testing.assert_array_equal(draw(pair, background='partner'), sources[1][..., ::-1])


def test_errors(draw, sources):
    with pytest.raises(ValueError, match="background must be one of .*'both'"):
        draw(sources[0], background='both')
    with pytest.raises(ValueError, match='expected fuser=dict'):
        draw(sources[0], background='fused')
    with pytest.raises(ValueError, match='expected fuser=dict'):
        draw(sources[0], background='partner', fuser=dict(model='x'), path_map=('/vi/', '/ir/'))
    with pytest.raises(ValueError, match='24 x 16 pixels.*expected the size of its partner'):
        draw(sources[0][:8], 'vi/1.png', background='partner')
