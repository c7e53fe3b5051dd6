# Copyright (c) mmdefusion authors. All rights reserved.
import numpy as np
import pytest
from mmengine.config import Config

from mmdefusion import cli
from mmdefusion.apis import FusionInferencer
from mmdefusion.evaluation.functional import to_luma
from mmdefusion.models.classical import fuse_maximum
from mmdefusion.utils.image_io import read_image, write_image

CONFIG = """
default_scope = 'mmdefusion'
model = dict(type='ClassicalFusion', method='maximum')
"""


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)


def test_inferencer_needs_no_weights(images):
    a, b = images
    fuse = FusionInferencer(Config.fromstring(CONFIG, '.py'), device='cpu', color='gray', show_progress=False)
    (fused,) = fuse((a, b))['predictions']
    np.testing.assert_array_equal(fused, fuse_maximum(to_luma(a), to_luma(b)))


def test_command_line_and_panel(images, tmp_path):
    a, b = images
    b[:] = to_luma(b)[..., None]
    write_image(tmp_path / 'a.png', a)
    write_image(tmp_path / 'b.png', b)
    (tmp_path / 'classical.py').write_text(CONFIG)
    sources = (str(tmp_path / 'a.png'), str(tmp_path / 'b.png'))
    out = tmp_path / 'out'
    code = cli.main(['fuse', *sources, '-o', str(out), '--model', str(tmp_path / 'classical.py'), '--parts'])
    assert code == 0
    # A classical method has no parts, but a panel of sources and fused image.
    assert sorted(str(path.relative_to(out)) for path in out.rglob('*.png')) == ['a.png', 'panel/a.png']
    luma = to_luma(read_image(out / 'a.png').bgr).astype(int)
    expected = fuse_maximum(to_luma(a), to_luma(b)).astype(int)
    in_gamut = (read_image(out / 'a.png').bgr.min(axis=2) > 0) & (read_image(out / 'a.png').bgr.max(axis=2) < 255)
    assert in_gamut.mean() > 0.2 and np.abs(luma - expected)[in_gamut].max() <= 1
