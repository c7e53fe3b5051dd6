# Copyright (c) mmdefusion authors. All rights reserved.
import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose

import mmdefusion.datasets  # noqa: F401
from mmdefusion.datasets.transforms import LoadFusionTruth, LoadPairedImage
from mmdefusion.utils.image_io import ImageReadError, write_image


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 6, 8, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path, images):
    write_image(tmp_path / 'vi' / '1.png', images[0])
    write_image(tmp_path / 'ir' / '1.png', images[1])
    return tmp_path


def test_stacks_both_images_after_the_stock_loader(folder, images):
    load = Compose([dict(type='LoadImageFromFile'), dict(type='mmdefusion.LoadPairedImage')])
    results = load(dict(img_path=str(folder / 'vi' / '1.png')))
    assert results['img'].shape == (6, 8, 6) and results['img'].dtype == np.uint8
    np.testing.assert_array_equal(results['img'][..., :3], images[0])
    np.testing.assert_array_equal(results['img'][..., 3:], images[1])
    assert results['img_path'] == str(folder / 'vi' / '1.png')
    assert results['partner_path'] == str(folder / 'ir' / '1.png')
    assert results['img_shape'] == results['ori_shape'] == (6, 8)


def test_given_partner_path_comes_first(folder, images):
    write_image(folder / 'other.png', images[1] // 2)
    results = dict(img=images[0], img_path=str(folder / 'vi' / '1.png'), partner_path=str(folder / 'other.png'))
    np.testing.assert_array_equal(LoadPairedImage()(results)['img'][..., 3:], images[1] // 2)


def test_last_occurrence_is_replaced(folder, images):
    write_image(folder / 'vi' / 'ir' / '2.png', images[1])
    results = LoadPairedImage()(dict(img=images[0], img_path=str(folder / 'vi' / 'vi' / '2.png')))
    assert results['partner_path'] == str(folder / 'vi' / 'ir' / '2.png')


def test_path_map_of_endings(folder, images):
    write_image(folder / '7_IR.png', images[1])
    load = LoadPairedImage(path_map=['_RGB.jpg', '_IR.png'])
    results = load(dict(img=images[0], img_path=str(folder / '7_RGB.jpg')))
    np.testing.assert_array_equal(results['img'][..., 3:], images[1])


def test_16_bit_partner_keeps_its_precision(folder, images):
    values = np.random.default_rng(1).integers(0, 65536, (6, 8), dtype=np.uint16)
    cv2.imwrite(str(folder / 'ir' / '1.png'), values)
    image = LoadPairedImage()(dict(img=images[0], img_path=str(folder / 'vi' / '1.png')))['img']
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image[..., :3], images[0])
    np.testing.assert_array_equal(np.rint(image[..., 4] * 257), values)


def test_six_channels_pass_through():
    image = np.zeros((4, 5, 6), np.uint8)
    results = LoadPairedImage()(dict(img=image, img_path=None))
    assert results['img'] is image and 'partner_path' not in results


def test_works_behind_the_loader_of_arrays(images):
    pair = np.concatenate(list(images), axis=2)
    load = Compose([dict(type='mmdefusion.LoadPairedImage')])
    np.testing.assert_array_equal(load(dict(img=pair))['img'], pair)


def test_three_channel_array_has_no_partner(images):
    with pytest.raises(ValueError, match=r'no partner; pass both sources as one \(H, W, 6\)'):
        LoadPairedImage()(dict(img=images[0], img_path=None))


def test_gray_image_is_refused(images):
    with pytest.raises(ValueError, match=r'a.png: image of shape \(6, 8\)'):
        LoadPairedImage()(dict(img=images[0, ..., 0], img_path='a.png'))


def test_path_without_the_mapped_part(images):
    with pytest.raises(ValueError, match="data/rgb/1.png: does not contain '/vi/'"):
        LoadPairedImage()(dict(img=images[0], img_path='data/rgb/1.png'))


def test_missing_partner_is_named(folder, images):
    with pytest.raises(ImageReadError, match='ir/2.png: cannot be opened'):
        LoadPairedImage()(dict(img=images[0], img_path=str(folder / 'vi' / '2.png')))


def test_other_size_is_told(folder, images):
    with pytest.raises(ValueError, match=r'ir/1.png: 8 x 6 pixels .*vi/1.png, 8 x 5'):
        LoadPairedImage()(dict(img=images[0][:5], img_path=str(folder / 'vi' / '1.png')))


@pytest.mark.parametrize('path_map', ['/vi/', ('/vi/',), ('', '/ir/')])
def test_wrong_path_map(path_map):
    with pytest.raises(ValueError, match='path_map must be two strings'):
        LoadPairedImage(path_map=path_map)


def test_truth_is_loaded_as_it_is(folder, images):
    write_image(folder / 'gt.png', images[0] // 2)
    results = dict(img=np.dstack(list(images)), img_path='a.png', gt_path=str(folder / 'gt.png'))
    np.testing.assert_array_equal(LoadFusionTruth()(results)['gt_fused'], images[0] // 2)
    values = np.random.default_rng(1).integers(0, 65536, (6, 8, 3), dtype=np.uint16)
    cv2.imwrite(str(folder / 'gt.png'), values)
    truth = LoadFusionTruth()(results)['gt_fused']
    assert truth.dtype == np.float32
    np.testing.assert_array_equal(np.rint(truth * 257), values)


def test_truth_missing_or_of_another_size(folder, images):
    results = dict(img=np.dstack(list(images))[:5], img_path='a.png', gt_path=str(folder / 'gt.png'))
    with pytest.raises(ImageReadError, match='gt.png: cannot be opened'):
        LoadFusionTruth()(results)
    write_image(folder / 'gt.png', images[0])
    with pytest.raises(ValueError, match=r'gt.png: 8 x 6 pixels .*its pair a.png, 8 x 5'):
        LoadFusionTruth()(results)
