# Copyright (c) mmdefusion authors. All rights reserved.
import cv2
import numpy as np
import pytest
import torch
from mmengine.visualization import Visualizer

from mmdefusion.registry import VISUALIZERS
from mmdefusion.structures import FusionDataSample
from mmdefusion.visualization import FusionLocalVisualizer, draw_panel, sample_tiles, tensor_to_image
from mmdefusion.visualization.panel import MARGIN, TITLE_HEIGHT

SIZE = (192, 200)


def flat(value, size=SIZE):
    return np.full((*size, 3), value, np.uint8)


def tile(panel, row, column, size=SIZE):
    top = MARGIN + row * (size[0] + TITLE_HEIGHT + MARGIN) + TITLE_HEIGHT
    left = MARGIN + column * (size[1] + MARGIN)
    return panel[top : top + size[0], left : left + size[1]]


def fields(**values):
    return FusionDataSample(**{name: torch.full((3, *SIZE), value / 255) for name, value in values.items()})


def test_tiles_lie_in_rows_of_three_with_titles_above():
    images = {
        str(value): np.random.default_rng(value).integers(0, 256, (*SIZE, 3), dtype=np.uint8) for value in range(5)
    }
    panel = draw_panel(images)
    assert panel.shape == (2 * (192 + 24 + 6) + 6, 3 * (200 + 6) + 6, 3)
    for index, image in enumerate(images.values()):
        np.testing.assert_array_equal(tile(panel, *divmod(index, 3)), image)
        top = MARGIN + index // 3 * (SIZE[0] + TITLE_HEIGHT + MARGIN)
        left = MARGIN + index % 3 * (SIZE[1] + MARGIN)
        title = panel[top : top + TITLE_HEIGHT, left : left + SIZE[1]]
        assert title.min() < 100, 'a title is drawn'
        assert (title[:, 60:] == 255).all(), 'and nothing else'
    assert (tile(panel, 1, 2) == 255).all()


def test_eight_tiles_lie_in_rows_of_four():
    panel = draw_panel({str(value): flat(value) for value in range(8)})
    assert panel.shape[1] == 4 * 206 + 6
    assert (tile(panel, 1, 3) == 7).all()


@pytest.mark.parametrize('width, expected', [(10, 192), (192, 192), (640, 640), (1000, 640)])
def test_tiles_are_scaled_to_handy_widths(width, expected):
    panel = draw_panel({'a': flat(3, (width // 2, width))})
    assert panel.shape[1] == expected + 2 * MARGIN
    assert panel.shape[0] == expected // 2 + TITLE_HEIGHT + 2 * MARGIN


def test_gray_tiles():
    panel = draw_panel({'a': flat(7)[..., 0], 'b': flat(8)[..., :1]})
    assert (tile(panel, 0, 0) == 7).all() and (tile(panel, 0, 1) == 8).all()


@pytest.mark.parametrize('tiles', [{}, {'a': flat(0), 'b': flat(0, (5, 6))}])
def test_tiles_must_have_one_size(tiles):
    with pytest.raises(ValueError, match='same height and width'):
        draw_panel(tiles)


def test_tensor_to_image_clips_and_rounds():
    tensor = torch.tensor([-0.5, 0.0, 100.4 / 255, 100.6 / 255, 1.0, 2.0]).view(1, 2, 3).expand(3, 2, 3)
    expected = np.array([[0, 0, 100], [101, 255, 255]])
    np.testing.assert_array_equal(tensor_to_image(tensor), np.repeat(expected[..., None], 3, axis=2))
    assert tensor_to_image(torch.rand(3, 4, 5).bfloat16().requires_grad_()).shape == (4, 5, 3)


def test_pretraining_sample():
    sample = fields(
        view1=1, view2=2, pred_common=3, pred_unique1=4, pred_unique2=5, pred_fused=6, pred_masked=7, gt_fused=8
    )
    tiles = sample_tiles(flat(9), sample)
    assert {title: int(image[0, 0, 0]) for title, image in tiles.items()} == {
        'photo': 9, 'view 1': 1, 'view 2': 2, 'common': 3, 'unique 1': 4, 'unique 2': 5, 'fused': 6, 'masked': 7,
    }  # fmt: skip
    assert list(tiles)[:3] == ['photo', 'view 1', 'view 2']


def test_pair_sample():
    pair = np.concatenate([flat(1), flat(2)], axis=2)
    sample = fields(pred_common=3, pred_unique1=4, pred_unique2=5, pred_fused=6, gt_fused=8)
    assert {title: int(image[0, 0, 0]) for title, image in sample_tiles(pair, sample).items()} == {
        'source 1': 1, 'source 2': 2, 'common': 3, 'unique 1': 4, 'unique 2': 5, 'fused': 6, 'ground truth': 8,
    }  # fmt: skip
    assert list(sample_tiles(pair, sample, draw_gt=False, draw_pred=False)) == ['source 1', 'source 2']
    assert 'ground truth' not in sample_tiles(pair, sample, draw_gt=False)
    assert list(sample_tiles(pair, None)) == ['source 1', 'source 2']


def test_packed_tensors_are_bgr():
    bgr = torch.tensor([10, 20, 30, 40, 50, 60], dtype=torch.uint8).view(6, 1, 1).expand(6, 4, 5)
    tiles = sample_tiles(bgr, None)
    np.testing.assert_array_equal(tiles['source 1'][0, 0], [30, 20, 10])
    np.testing.assert_array_equal(tiles['source 2'][0, 0], [60, 50, 40])
    photo = sample_tiles(bgr[:3].float() + 0.4, None)['photo']
    np.testing.assert_array_equal(photo[0, 0], [30, 20, 10])


@pytest.mark.parametrize('shape', [(4, 5), (4, 5, 1), (4, 5, 9)])
def test_other_images_are_refused(shape):
    with pytest.raises(ValueError, match='expected 3 channels for a photo or 6 for a pair'):
        sample_tiles(np.zeros(shape, np.uint8), None)


@pytest.fixture
def visualizer(tmp_path):
    # A visualizer is global by its name.
    config = dict(type='mmdefusion.FusionLocalVisualizer', name=str(tmp_path), save_dir=str(tmp_path))
    config['vis_backends'] = [dict(type='LocalVisBackend')]
    return VISUALIZERS.build(config)


def test_visualizer_sends_the_panel_to_its_backends(visualizer, tmp_path):
    assert isinstance(visualizer, FusionLocalVisualizer) and isinstance(visualizer, Visualizer)
    image = np.dstack([flat(200)[..., 0], flat(100)[..., 0], flat(50)[..., 0]])
    sample = fields(pred_fused=6)
    visualizer.add_datasample('a', image, sample, step=7)
    written = cv2.imread(str(tmp_path / 'vis_data' / 'vis_image' / 'a_7.png'))
    np.testing.assert_array_equal(written[..., ::-1], draw_panel(sample_tiles(image, sample)))
    # The red of the photo is red in the file.
    np.testing.assert_array_equal(tile(written, 0, 0)[0, 0], [50, 100, 200])


def test_visualizer_writes_out_file_instead(visualizer, tmp_path):
    visualizer.add_datasample('a', flat(9), fields(pred_fused=6), out_file=str(tmp_path / 'x' / 'panel.png'))
    assert (tile(cv2.imread(str(tmp_path / 'x' / 'panel.png')), 0, 1) == 6).all()
    assert not (tmp_path / 'vis_data' / 'vis_image').exists()


def test_visualizer_shows(visualizer, monkeypatch):
    shown = []
    monkeypatch.setattr(visualizer, 'show', lambda panel, **options: shown.append((panel.shape, options)))
    visualizer.add_datasample('a', flat(9), None, show=True, wait_time=2)
    assert shown == [((192 + 24 + 12, 200 + 12, 3), dict(win_name='a', wait_time=2))]
