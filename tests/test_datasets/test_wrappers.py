# Copyright (c) mmdefusion authors. All rights reserved.
import numpy as np
import pytest
from mmcv.transforms import BaseTransform, RandomFlip, Resize
from mmengine.registry import DefaultScope

from mmdefusion.datasets.transforms import ApplyToSource


class Negative(BaseTransform):
    def __init__(self, dtype=np.uint8):
        self.dtype = dtype

    def transform(self, results):
        assert set(results) <= {'img', 'img_path', 'img_shape', 'ori_shape', 'gt_seg_map', 'seg_fields'}
        results['img'] = (255 - results['img']).astype(self.dtype)
        return results


class GiveUp(BaseTransform):
    def transform(self, results):
        return None


@pytest.fixture
def results():
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 6), dtype=np.uint8)
    return dict(img=image, img_path='vi/1.png', img_shape=(6, 8), gt_bboxes='boxes', gt_seg_map='labels', flip=False)


@pytest.mark.parametrize('index', [0, 1])
def test_only_the_named_source_changes(results, index):
    image = results['img'].copy()
    given = {key: value for key, value in results.items() if key != 'img'}
    changed = ApplyToSource(index, [Negative()])(results)
    own, other = slice(3 * index, 3 * index + 3), slice(3 - 3 * index, 6 - 3 * index)
    np.testing.assert_array_equal(changed['img'][..., own], 255 - image[..., own])
    np.testing.assert_array_equal(changed['img'][..., other], image[..., other])
    assert {key: value for key, value in changed.items() if key != 'img'} == given


def test_image_without_partner(results):
    results['img'] = results['img'][..., :3]
    image = results['img'].copy()
    np.testing.assert_array_equal(ApplyToSource(0, [Negative()])(results)['img'], 255 - image)
    with pytest.raises(ValueError, match=r'vi/1.png: image of shape \(6, 8, 3\) has no source 1'):
        ApplyToSource(1, [Negative()])(results)
    with pytest.raises(ValueError, match='index'):
        ApplyToSource(-1, [Negative()])


def test_float_result_makes_the_pair_float(results):
    image = results['img'].copy()
    changed = ApplyToSource(0, [Negative(np.float32)])(results)['img']
    assert changed.dtype == np.float32
    np.testing.assert_array_equal(changed[..., 3:], image[..., 3:])


def test_sample_that_is_given_up(results):
    assert ApplyToSource(0, [GiveUp()])(results) is None


@pytest.mark.parametrize('geometry', [RandomFlip(prob=1.0), Resize(scale=(4, 3)), Resize(scale=(8, 7))])
def test_geometry_of_one_source_is_an_error(results, geometry):
    with pytest.raises(
        ValueError, match=r'(?s)ApplyToSource\(index=0\).*moved pixels of one source.*into the pipeline'
    ):
        ApplyToSource(0, [geometry])(results)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ('host', 'color', 'geometry'),
    [('mmdet', 'YOLOXHSVRandomAug', 'Rotate'), ('mmseg', 'PhotoMetricDistortion', 'RandomRotate')],
)
def test_stock_transforms_by_their_plain_names(results, host, color, geometry):
    pytest.importorskip(f'{host}.datasets')
    image = results['img'].copy()
    with DefaultScope.overwrite_default_scope(host):
        np.random.seed(0)
        changed = ApplyToSource(0, [dict(type=color)])(results)['img']
        assert np.abs(changed[..., :3].astype(int) - image[..., :3]).max() > 5
        np.testing.assert_array_equal(changed[..., 3:], image[..., 3:])
        turn = dict(prob=1.0, level=10) if host == 'mmdet' else dict(prob=1.0, degree=(20.0, 20.0))
        with pytest.raises(ValueError, match='moved pixels'):
            ApplyToSource(0, [dict(type=geometry, **turn)])(results)
