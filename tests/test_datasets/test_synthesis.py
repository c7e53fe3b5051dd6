# Copyright (c) mmdefusion authors. All rights reserved.
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmdefusion.datasets import ImageFolderDataset
from mmdefusion.datasets.synthesis import FAMILIES, Camera, defocus, disc_kernel, draw_disparity, smooth_noise
from mmdefusion.datasets.transforms import RandomMultiExposurePair, RandomMultiFocusPair
from mmdefusion.registry import DATASETS


@pytest.fixture(scope='module')
def photo():
    """Texture of all scales on coloured patches, away from black and white."""
    rng = np.random.default_rng(0)
    image = np.zeros((96, 128, 3), np.float32)
    for cells in (3, 12, 48):
        image += np.stack([smooth_noise((96, 128), cells, rng) for _ in range(3)], axis=-1)
    return np.rint(30 + 200 * image / 3).astype(np.uint8)


def sharpness(image):
    return np.abs(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float64), cv2.CV_64F))


@pytest.mark.parametrize('camera', [Camera(), Camera(gamma=1.9, contrast=0.4), Camera(gamma=1.0)])
def test_every_pixel_value_survives_linear_light(camera):
    values = np.arange(256, dtype=np.uint8)
    light = camera.linearize(values)
    assert light[0] == 0 and light[255] == pytest.approx(1) and (np.diff(light) > 0).all()
    np.testing.assert_array_equal(camera.develop(light), values)


def test_response_by_hand():
    assert Camera(gamma=2).linearize(np.array([51.0])) == pytest.approx(0.2**2, rel=1e-3)
    # v = 0.5 is a fixed point of the S-curve; v = 0.25 becomes (0.25 + 3/16 - 1/32) / 2 = 0.203125.
    light = np.array([0.25, 0.0625])
    np.testing.assert_array_equal(Camera(gamma=2, contrast=0.5).develop(light), np.rint([127.5, 0.203125 * 255]))
    np.testing.assert_array_equal(Camera().develop(np.array([-1.0, 0, 1, 7])), [0, 0, 255, 255])


def test_noise_has_the_variance_of_its_electrons():
    camera = Camera(gamma=1.0, full_well=1000.0, read_noise=10.0)
    for light in (0.2, 0.6):
        picture = camera.photograph(np.full((400, 400, 1), light, np.float32), np.random.default_rng(0))
        # Electrons: shot variance 1000 light, read variance 100; rounding to 8 bits adds 1/12.
        expected = np.hypot(np.sqrt(1000 * light + 100) / 1000 * 255, np.sqrt(1 / 12))
        assert picture.std() == pytest.approx(expected, rel=0.01)
        assert picture.mean() == pytest.approx(light * 255, abs=0.1)


def test_disc_kernel():
    for radius in (0, 0.3, 0.5):
        np.testing.assert_array_equal(disc_kernel(radius), [[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    kernel = disc_kernel(3.0)
    assert kernel.shape == (7, 7) and kernel.sum() == pytest.approx(1)
    np.testing.assert_array_equal(kernel, kernel.T)
    assert kernel[3, 3] == kernel[3, 5] > 0 == kernel[0, 0]
    # Area of the disc, in pixels of full weight.
    assert 1 / kernel[3, 3] == pytest.approx(np.pi * 3**2, rel=0.03)


def test_defocus_keeps_flat_colour_and_what_is_in_focus():
    disparity = np.repeat(np.linspace(1, 9, 40, dtype=np.float32)[None], 30, axis=0)
    flat = np.full((30, 40, 3), 0.25, np.float32)
    np.testing.assert_allclose(defocus(flat, disparity, 5, 1.0), flat, rtol=1e-5)
    noise = np.random.default_rng(0).random((30, 40, 3), dtype=np.float32)
    level = np.full((30, 40), 5, np.float32)
    np.testing.assert_allclose(defocus(noise, level, 5, 4.0), noise, rtol=1e-6)
    # In one plane out of focus it is an ordinary convolution with the disc.
    blurred = cv2.filter2D(noise, -1, disc_kernel(4.0), borderType=cv2.BORDER_REFLECT)
    np.testing.assert_allclose(defocus(noise, level, 4, 4.0), blurred, atol=1e-6)
    blurred = cv2.filter2D(noise, -1, disc_kernel(3.0), borderType=cv2.BORDER_REFLECT)
    np.testing.assert_allclose(defocus(noise, level, 4, 4.0, depth_of_field=0.25), blurred, atol=1e-6)
    np.testing.assert_allclose(defocus(noise, level, 4, 4.0, depth_of_field=1.0), noise, rtol=1e-6)


def test_borders_of_depth_mix_as_behind_a_lens():
    """A bright near half beside a dark far half."""
    disparity = np.zeros((40, 60), np.float32)
    disparity[:, 30:] = 1
    light = np.repeat(0.1 + 0.8 * disparity[..., None], 3, axis=2)
    near, far = defocus(light, disparity, 1, 6.0)[20, :, 0], defocus(light, disparity, 0, 6.0)[20, :, 0]
    # Focused on the near half, its border stays sharp, and none of its light spreads over the far half.
    np.testing.assert_allclose(near, light[20, :, 0], atol=1e-6)
    # Focused on the far half, the near one's border is soft over its whole blur disc, and beyond that nothing changes.
    np.testing.assert_allclose(far[:24], 0.1, atol=1e-6)
    assert (np.diff(far[24:31]) > 0.02).all()
    np.testing.assert_allclose(far[30:], 0.9, atol=1e-6)


@pytest.mark.parametrize('family', FAMILIES)
def test_disparity_of_each_family(family, photo):
    maps = [draw_disparity(photo, family, np.random.default_rng(seed)) for seed in range(8)]
    for disparity in maps:
        assert disparity.shape == photo.shape[:2] and disparity.dtype == np.float32
        assert disparity.min() >= 0 and disparity.max() <= 1
        near = (disparity > 0.5).mean()
        assert 0.02 < near < 0.98
        jumps = max(np.abs(np.diff(disparity, axis=axis)).max() for axis in (0, 1))
        assert jumps > 0.4 if family in ('border', 'objects', 'segments') else jumps < 0.2
    np.testing.assert_array_equal(maps[3], draw_disparity(photo, family, np.random.default_rng(3)))
    assert (maps[3] != maps[4]).any()


def test_segments_follow_the_photo():
    image = np.full((60, 80, 3), (200, 60, 30), np.uint8)
    cv2.circle(image, (40, 30), 18, (20, 200, 240), -1)
    disc = cv2.circle(np.zeros((60, 80), np.uint8), (40, 30), 18, 1, -1) == 1
    for seed in range(5):
        disparity = draw_disparity(image, 'segments', np.random.default_rng(seed))
        # Every part of equal depth lies inside the disc or outside, apart from pixels of the border.
        parts = [disparity == depth for depth in np.unique(disparity)]
        misplaced = sum(min((part & disc).sum(), (part & ~disc).sum()) for part in parts)
        assert misplaced < 0.05 * disc.sum()


def test_unknown_family(photo):
    with pytest.raises(ValueError, match="unknown family of depth 'stairs'"):
        draw_disparity(photo, 'stairs', np.random.default_rng(0))
    with pytest.raises(ValueError, match="families: found .*'stairs'"):
        RandomMultiFocusPair(families=['stairs'])
    with pytest.raises(ValueError, match='families: found'):
        RandomMultiFocusPair(families=[])


def make_pair(transform, photo, seed):
    np.random.seed(seed)
    results = transform(dict(img=photo.copy(), img_path='a.jpg'))
    assert results['img'].dtype == np.uint8 and results['img'].shape == (*photo.shape[:2], 6)
    np.testing.assert_array_equal(results['gt_fused'], photo)
    return results['img'][..., :3], results['img'][..., 3:]


@pytest.mark.parametrize('family', FAMILIES)
def test_every_part_is_sharp_in_one_source_of_a_focus_pair(family, photo):
    transform = RandomMultiFocusPair(families=[family], max_radius=(0.03, 0.03))
    truth = photo.astype(float)
    for seed in range(4):
        pair = transform.make_sources(photo, Camera(full_well=1e7), np.random.default_rng(seed))
        errors = np.stack([np.abs(source - truth).mean(axis=2) for source in pair])
        # What is sharp is the photo itself; only along borders of depth neither source has it.
        assert (errors.min(axis=0) < 1).mean() > 0.8
        for source, error in zip(pair, errors, strict=True):
            blurred = error > 3
            assert blurred.mean() > 0.01
            assert sharpness(source)[blurred].mean() < 0.6 * sharpness(photo)[blurred].mean()


def test_exposure_pair_loses_shadows_and_highlights():
    ramp = np.repeat(np.rint(np.linspace(0, 255, 256)).astype(np.uint8)[None], 64, axis=0)
    photo = np.repeat(ramp[..., None], 3, axis=2)
    transform = RandomMultiExposurePair(under=(-3, -3), over=(2, 2), light_range=(0, 0))
    under, over = sorted(make_pair(transform, photo, 0), key=np.mean)
    # Two stops more: saturated from 255 * (1/4)^(1/gamma) on, 143 for a gamma of 2.4; the S-curve moves it little.
    assert (over[:, 160:] >= 250).all() and (over[:, :40] < 200).all()
    assert under.max() < 140 and under[:, :30].mean() < 15
    columns = over[..., 0].mean(axis=0)
    assert (np.diff(cv2.blur(columns[None], (9, 1))[0][10:90]) > 0).all()


def test_exposures_are_in_stops_of_linear_light(photo):
    """With a known camera, the mean light of a picture is the photo's times the exposure."""
    transform = RandomMultiExposurePair(under=(-2, -2), over=(-1, -1), light_range=(0, 0))
    camera = Camera(full_well=1e6)
    pictures = transform.make_sources(photo, camera, np.random.default_rng(0))
    light = camera.linearize(photo)
    for picture, factor in zip(pictures, (1 / 4, 1 / 2), strict=True):
        np.testing.assert_allclose(camera.linearize(picture), light * factor, atol=0.012)


def test_uneven_light_stays_within_its_range(photo):
    camera = Camera(full_well=1e6)
    transform = RandomMultiExposurePair(under=(-2, -2), over=(-1, -1), light_range=(1.5, 1.5))
    (picture, _) = transform.make_sources(photo, camera, np.random.default_rng(0))
    bright = photo.min(axis=2) > 110
    ratio = (camera.linearize(picture) / camera.linearize(photo))[bright] * 4
    assert ratio.min() > 2**-0.75 * 0.9 and ratio.max() < 2**0.75 * 1.1 and np.ptp(np.log2(ratio)) > 0.8


@pytest.mark.parametrize('transform', [RandomMultiFocusPair(), RandomMultiExposurePair()])
def test_seed_decides_everything(transform, photo):
    first, again, other = (np.dstack(make_pair(transform, photo, seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    # Both orders of the two sources occur.
    brighter = [np.mean(a) > np.mean(b) for a, b in (make_pair(RandomMultiExposurePair(), photo, s) for s in range(8))]
    assert set(brighter) == {True, False}


def test_float_photos_of_16_bits(photo):
    values = photo.astype(np.float32) + 0.25
    np.random.seed(0)
    results = RandomMultiFocusPair()(dict(img=values))
    assert results['img'].dtype == np.uint8 and results['gt_fused'] is values


def test_a_pair_is_no_photo(photo):
    with pytest.raises(ValueError, match=r'a.jpg: image of shape \(96, 128, 6\); expected a photo'):
        RandomMultiFocusPair()(dict(img=np.dstack([photo, photo]), img_path='a.jpg'))


@pytest.mark.parametrize('kind', ['focus', 'exposure'])
def test_config_makes_the_same_pairs_in_every_run(kind, photo, tmp_path):
    for index in range(21):
        cv2.imwrite(str(tmp_path / f'{index:02}.png'), np.roll(photo, index, axis=1)[:48, :64])
    cfg = Config.fromfile(Path(__file__).parents[2] / f'configs/fusion/defusion-pp_nano_synthetic-{kind}.py')
    assert cfg.test_evaluator.metrics[:3] == ['PSNR-GT', 'SSIM-GT', 'GMSD']
    with DefaultScope.overwrite_default_scope('mmdefusion'):
        first, second = (DATASETS.build({**cfg.test_dataloader.dataset, 'data_root': str(tmp_path)}) for _ in range(2))
    assert isinstance(first, ImageFolderDataset) and len(first) == 2
    for index in (1, 0, 1):
        np.testing.assert_array_equal(first[index]['inputs'], second[index]['inputs'])
    sample = first[1]
    truth = cv2.imread(str(tmp_path / '20.png'))[..., ::-1].transpose(2, 0, 1)
    np.testing.assert_array_equal(np.rint(sample['data_samples'].gt_fused * 255), truth)
    assert (first[0]['inputs'][:3] != sample['inputs'][:3]).any()
