# Copyright (c) mmdefusion authors. All rights reserved.
import cv2
import numpy as np
import pytest
import torch

from mmdefusion.datasets.transforms import (
    PackFusionInputs,
    PhotometricJitter,
    RandomInvert,
    RandomResizedCrop,
    SourcesToLuma,
)


def ramp(height=60, width=80, channels=3):
    rows, columns = np.mgrid[:height, :width]
    planes = [rows, columns, rows + columns, rows, columns, rows + columns][:channels]
    return np.stack(planes, axis=-1).astype(np.uint8)


@pytest.mark.parametrize('channels', [1, 3, 6])
def test_crop_treats_all_channels_alike(channels):
    np.random.seed(0)
    results = RandomResizedCrop(32)(dict(img=ramp(channels=channels)))
    assert results['img'].shape == (32, 32, channels) and results['img_shape'] == (32, 32)
    np.random.seed(0)
    alone = RandomResizedCrop(32)(dict(img=ramp(channels=3)))
    assert (results['img'][..., :3] == alone['img'][..., :channels]).all()
    if channels == 6:
        assert (results['img'][..., :3] == results['img'][..., 3:]).all()


def test_boxes_keep_area_and_aspect_ratio():
    transform = RandomResizedCrop(8, crop_ratio_range=(0.2, 0.5), aspect_ratio_range=(0.5, 2.0))
    np.random.seed(0)
    boxes = np.array([transform._crop_box(200, 300) for _ in range(300)])
    area, ratio = boxes[:, 2] * boxes[:, 3] / 60000, boxes[:, 3] / boxes[:, 2]
    assert 0.19 < area.min() < 0.22 and 0.48 < area.max() < 0.51
    assert 0.49 < ratio.min() < 0.6 and 1.8 < ratio.max() < 2.04
    assert (boxes[:, 0] + boxes[:, 2] <= 200).all() and (boxes[:, 1] + boxes[:, 3] <= 300).all()


def test_box_of_an_extreme_image_is_the_centre():
    assert RandomResizedCrop(8, crop_ratio_range=(1.0, 1.0))._crop_box(10, 1000) == (0, 493, 10, 13)


def test_whole_image_reduced_equals_area_average():
    image = ramp(64, 64)
    transform = RandomResizedCrop(32, crop_ratio_range=(1.0, 1.0), aspect_ratio_range=(1.0, 1.0))
    expected = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA)
    assert (transform(dict(img=image))['img'] == expected).all()


def test_negative_by_hand_as_often_as_asked():
    pixel = np.array([[[0, 80, 255]]], np.uint8)
    assert RandomInvert(prob=1)(dict(img=pixel))['img'].tolist() == [[[255, 175, 0]]]
    assert RandomInvert(prob=0)(dict(img=pixel))['img'].tolist() == pixel.tolist()
    np.random.seed(0)
    inverted = [RandomInvert(prob=0.25)(dict(img=pixel))['img'][0, 0, 0] == 255 for _ in range(400)]
    assert 0.19 < np.mean(inverted) < 0.31  # three standard deviations


def test_jitter_by_hand():
    pixel = np.array([[[40, 80, 120], [200, 160, 120]]], np.uint8)
    identity = dict(brightness=(1, 1), contrast=(1, 1), saturation=(1, 1))
    dark = PhotometricJitter(**{**identity, 'brightness': (0.5, 0.5)})(dict(img=pixel))['img']
    assert dark.tolist() == [[[20, 40, 60], [100, 80, 60]]]
    luma = 0.114 * pixel[..., 0] + 0.587 * pixel[..., 1] + 0.299 * pixel[..., 2]
    gray = PhotometricJitter(**{**identity, 'saturation': (0, 0)})(dict(img=pixel))['img']
    assert (gray == np.rint(luma)[..., None]).all()
    flat = PhotometricJitter(**{**identity, 'contrast': (0, 0)})(dict(img=pixel))['img']
    assert (flat == np.rint(luma.mean())).all()
    night = PhotometricJitter(**identity, gamma=(2, 2))(dict(img=pixel))['img']
    assert night.tolist() == [[[6, 25, 56], [157, 100, 56]]]  # 255 (v / 255)^2
    assert (PhotometricJitter(**identity)(dict(img=pixel))['img'] == pixel).all()
    assert pixel[0, 0].tolist() == [40, 80, 120]  # the input is left alone


def test_each_source_becomes_its_luma():
    pair = np.array([[[10, 20, 30, 200, 100, 50]]], np.uint8)
    first, second = 0.114 * 10 + 0.587 * 20 + 0.299 * 30, 0.114 * 200 + 0.587 * 100 + 0.299 * 50
    result = SourcesToLuma()(dict(img=pair))['img']
    assert result.tolist() == [[[round(first)] * 3 + [round(second)] * 3]] and result.dtype == np.uint8


def test_pack():
    image = ramp(4, 5, 6)
    truth = np.zeros((4, 5, 3), np.uint8)
    truth[..., 0] = 255  # blue
    results = dict(img=image, img_path='a', partner_path='b', cud_masks=np.ones((2, 4, 5), np.uint8), gt_fused=truth)
    packed = PackFusionInputs()(results)
    assert torch.equal(packed['inputs'], torch.from_numpy(image).permute(2, 0, 1))
    sample = packed['data_samples']
    assert sample.metainfo == dict(img_path='a', partner_path='b')
    assert sample.gt_fused[:, 0, 0].tolist() == [0, 0, 1]  # RGB
    assert sample.cud_masks.shape == (2, 4, 5)
