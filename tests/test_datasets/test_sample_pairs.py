# Copyright (c) mmdefusion authors. All rights reserved.
import sys

import cv2
import numpy as np
import pytest

from mmdefusion.datasets.sample_pairs import (
    PHOTOS,
    SAMPLE_TASKS,
    export_photos,
    make_sample_pairs,
    write_sample_pairs,
)
from mmdefusion.datasets.sample_scene import draw_street_scene


@pytest.fixture(scope='module')
def pairs():
    return make_sample_pairs(height=160)


def luma(bgr):
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY).astype(float)


def sharpness(image):
    return np.abs(cv2.Laplacian(luma(image), cv2.CV_64F))


def test_all_tasks_have_pairs_of_one_size(pairs):
    assert tuple(pairs) == SAMPLE_TASKS
    for task, pair in pairs.items():
        assert pair.task == task
        assert pair.source1.shape == pair.source2.shape and pair.source1.shape[0] == 160
        assert pair.source1.dtype == pair.source2.dtype == np.uint8
        assert pair.ground_truth is None or pair.ground_truth.shape == pair.source1.shape
    assert pairs['infrared_visible'].ground_truth is None


def test_seed_repeats_and_matters(pairs):
    again = make_sample_pairs(['infrared_visible', 'multi_exposure'], height=160)
    other = make_sample_pairs(['infrared_visible', 'multi_exposure'], height=160, seed=1)
    for task in again:
        np.testing.assert_array_equal(again[task].source1, pairs[task].source1)
        np.testing.assert_array_equal(again[task].source2, pairs[task].source2)
        assert (other[task].source1 != pairs[task].source1).any()


def test_each_focus_is_sharp_where_the_other_is_not(pairs):
    pair = pairs['multi_focus']
    truth = sharpness(pair.ground_truth)
    # The engine of the motorcycle is near, the shelf behind it far.
    height, width = truth.shape
    near = np.s_[int(0.55 * height) : int(0.75 * height), int(0.45 * width) : int(0.62 * width)]
    far = np.s_[int(0.02 * height) : int(0.25 * height), int(0.75 * width) : int(0.95 * width)]
    for region, sharp, blurred in ((near, pair.source1, pair.source2), (far, pair.source2, pair.source1)):
        assert sharpness(sharp)[region].mean() > 0.8 * truth[region].mean()
        assert sharpness(blurred)[region].mean() < 0.4 * truth[region].mean()


def test_exposures_clip_on_opposite_sides(pairs):
    pair = pairs['multi_exposure']
    under, over, truth = luma(pair.source1), luma(pair.source2), luma(pair.ground_truth)
    assert under.mean() < 0.7 * truth.mean() and over.mean() > 1.15 * truth.mean()
    assert (over >= 250).mean() > 0.05 > 0.005 > (under >= 250).mean()
    assert (under < 25).mean() > 0.1 > (over < 10).mean()


def test_infrared_shows_the_people_that_the_dark_hides(pairs):
    pair = pairs['infrared_visible']
    assert (pair.source2[..., 0] == pair.source2[..., 1]).all() and (pair.source2[..., 1] == pair.source2[..., 2]).all()
    infrared, visible = pair.source2[..., 0].astype(float), luma(pair.source1)
    scale = 160 / 480
    body = np.s_[int(325 * scale) : int(350 * scale), int(95 * scale) : int(106 * scale)]
    assert infrared[body].mean() > infrared.mean() + 80
    assert visible[body].mean() < 80
    sky = np.s_[: int(20 * scale), :]
    assert infrared[sky].mean() < 30 and infrared[sky].std() < 6
    # Colour is the visible image's.
    assert np.ptp(pair.source1.astype(int), axis=2).mean() > 10


@pytest.mark.parametrize('size', [(48, 64), (60, 64), (50, 99)])
def test_scene_has_the_size_asked_for(size):
    visible, infrared = draw_street_scene(size, 0)
    assert visible.shape == infrared.shape == (*size, 3)


def test_unknown_task():
    with pytest.raises(ValueError, match=r"unknown sample tasks \['medical'\]"):
        make_sample_pairs(['medical'])


def test_missing_scikit_image_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, 'skimage', None)
    with pytest.raises(ImportError, match='pip install scikit-image'):
        make_sample_pairs(['multi_focus'])
    assert 'infrared_visible' in make_sample_pairs(['infrared_visible'], height=48)


def test_written_files(tmp_path):
    written = write_sample_pairs(tmp_path, ['multi_exposure', 'infrared_visible'], height=64)
    assert sorted(str(path.relative_to(tmp_path)) for path in written) == [
        'ground_truth/multi_exposure.png',
        'source1/infrared_visible.png',
        'source1/multi_exposure.png',
        'source2/infrared_visible.png',
        'source2/multi_exposure.png',
    ]
    pair = make_sample_pairs(['multi_exposure'], height=64)['multi_exposure']
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'source2' / 'multi_exposure.png')), pair.source2)


def test_exported_photos(tmp_path):
    written = export_photos(tmp_path, short_side=200)
    assert [path.stem for path in written] == list(PHOTOS)
    for path in written:
        assert min(cv2.imread(str(path)).shape[:2]) == 200
    # In BGR on disk through OpenCV: the astronaut's suit is orange.
    suit = cv2.imread(str(tmp_path / 'astronaut.png'))[130:145, 42:52].mean(axis=(0, 1))
    assert suit[2] > suit[1] > suit[0]
