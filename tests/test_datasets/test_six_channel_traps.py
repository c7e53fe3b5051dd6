# Copyright (c) mmdefusion authors. All rights reserved.
import copy
import pickle

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform, Compose
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope

from mmdefusion.datasets.transforms import LoadPairedImage, PairResults

SIZE = (32, 48)


def sample(channels=6):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*SIZE, channels), dtype=np.uint8)
    return dict(
        img=image,
        img_path='vi/1.png',
        img_shape=SIZE,
        ori_shape=SIZE,
        gt_seg_map=np.ones(SIZE, np.uint8),
        seg_fields=['gt_seg_map'],
    )


def apply(transform, results, host):
    pytest.importorskip(f'{host}.datasets')
    with DefaultScope.overwrite_default_scope(host):
        np.random.seed(0)
        return TRANSFORMS.build(transform)(results)


class FirstThree(BaseTransform):
    def transform(self, results):
        results['img'] = results['img'][..., :3]
        return results


def test_lost_source_names_the_transform_and_the_remedy():
    load = Compose([LoadPairedImage(), FirstThree()])
    with pytest.raises(ValueError) as error:
        load(sample())
    for part in ('vi/1.png', 'FirstThree made', '(32, 48, 3)', "ApplyToSource', index=0", "dict(type='FirstThree'"):
        assert part in str(error.value)


def test_update_and_copies_are_checked_too():
    results = LoadPairedImage()(sample())
    for made in (results, copy.deepcopy(results), pickle.loads(pickle.dumps(results))):
        assert isinstance(made, PairResults)
        np.testing.assert_array_equal(made['img'], results['img'])
        with pytest.raises(ValueError, match='test_update_and_copies_are_checked_too made an image'):
            made.update(img=made['img'][..., 0])
    results['gt_seg_map'] = None
    assert results['gt_seg_map'] is None


@pytest.mark.smoke
@pytest.mark.parametrize('name', ['AutoContrast', 'Equalize'])
def test_mmdet_transforms_that_keep_three_channels(name):
    transform = dict(type=name, prob=1.0)
    assert apply(transform, sample(), 'mmdet')['img'].shape == (*SIZE, 3)
    with pytest.raises(ValueError, match=f'{name} made an image of shape'):
        apply(transform, LoadPairedImage()(sample()), 'mmdet')
    wrapped = dict(type='mmdefusion.ApplyToSource', index=0, transforms=[transform])
    results = LoadPairedImage()(sample())
    alone = apply(transform, sample() | dict(img=results['img'][..., :3]), 'mmdet')['img']
    np.testing.assert_array_equal(apply(wrapped, results, 'mmdet')['img'][..., :3], alone)


@pytest.mark.parametrize(
    ('transform', 'setting'),
    [
        (dict(type='Rotate', prob=1.0, level=10), 'img_border_value'),
        (dict(type='RandomAffine', max_translate_ratio=0.4), 'border_val'),
    ],
)
def test_mmdet_transforms_that_fill_the_borders_of_one_source(transform, setting):
    def spoil(results):
        boxes = pytest.importorskip('mmdet.structures.bbox').HorizontalBoxes
        results.update(img=np.full((*SIZE, 6), 255, np.uint8), gt_bboxes=boxes(torch.zeros(0, 4)))
        return results

    plain = apply(transform, spoil(sample()), 'mmdet')['img']
    assert not np.array_equal(plain[..., :3], plain[..., 3:])
    with pytest.raises(ValueError, match=setting):
        apply(transform, spoil(LoadPairedImage()(sample())), 'mmdet')
    remedy = transform | {setting: 0 if setting == 'img_border_value' else (0, 0, 0)}
    plain = apply(remedy, spoil(LoadPairedImage()(sample())), 'mmdet')['img']
    np.testing.assert_array_equal(plain[..., :3], plain[..., 3:])
    assert not plain.all()


@pytest.mark.parametrize(
    ('host', 'transform'),
    [
        ('mmdet', dict(type='Pad', size_divisor=64)),
        ('mmdet', dict(type='PhotoMetricDistortion')),
        ('mmdet', dict(type='YOLOXHSVRandomAug')),
        ('mmdet', dict(type='Color', prob=1.0)),
        ('mmdet', dict(type='Contrast', prob=1.0)),
        ('mmdet', dict(type='ShearX', prob=1.0, level=5)),
        ('mmdet', dict(type='TranslateY', prob=1.0, level=5)),
        ('mmdet', dict(type='CutOut', n_holes=5, cutout_shape=(4, 4))),
        ('mmdet', dict(type='Mosaic', prob=1.0, img_scale=(48, 32))),
        ('mmdet', dict(type='MixUp', img_scale=(48, 32))),
        ('mmdet', dict(type='RandomGrayscale', prob=1.0)),
        ('mmdet', dict(type='Resize', scale=(20, 18), interpolation='area')),
        ('mmdet', dict(type='Resize', scale=(24, 16), backend='pillow')),
        ('mmseg', dict(type='Pad', size=(64, 64))),
        ('mmseg', dict(type='RandomCutOut', prob=1.0, n_holes=5, cutout_shape=(4, 4))),
        ('mmseg', dict(type='RGB2Gray')),
        ('mmseg', dict(type='Resize', scale=(20, 18), interpolation='area')),
    ],
    ids=lambda value: value if isinstance(value, str) else value['type'],
)
def test_traps_that_fail_aloud(host, transform):
    def labelled(results):
        if host == 'mmdet':
            boxes = pytest.importorskip('mmdet.structures.bbox').HorizontalBoxes(torch.tensor([[4.0, 4.0, 20.0, 20.0]]))
            results.update(gt_bboxes=boxes, gt_bboxes_labels=np.zeros(1, int), gt_ignore_flags=np.zeros(1, bool))
        # Other samples, as MultiImageMixDataset gives them.
        count = 3 if transform['type'] == 'Mosaic' else 1
        results['mix_results'] = [copy.deepcopy(results) for _ in range(count)]
        return results

    # It is the channels that it does not take.
    assert apply(transform, labelled(sample(3)), host)['img'].any()
    with pytest.raises((cv2.error, ValueError, AssertionError, TypeError)):
        apply(transform, labelled(LoadPairedImage()(sample())), host)


@pytest.mark.parametrize('host', ['mmdet', 'mmseg'])
@pytest.mark.parametrize(
    'transform',
    [
        dict(type='Pad', size=(64, 64), pad_val=dict(img=0.0, seg=255)),
        dict(type='Resize', scale=(24, 20)),
        dict(type='RandomResize', scale=(24, 20), ratio_range=(0.5, 2.0)),
        dict(type='RandomCrop', crop_size=(20, 20)),
        dict(type='RandomFlip', prob=1.0),
    ],
    ids=lambda value: value['type'],
)
def test_geometry_is_the_same_for_both_sources(host, transform):
    pair = LoadPairedImage()(sample())
    alone = [apply(transform, sample() | dict(img=pair['img'][..., part]), host) for part in (slice(3), slice(3, 6))]
    together = apply(transform, pair, host)
    np.testing.assert_array_equal(together['img'], np.concatenate([one['img'] for one in alone], axis=2))
    np.testing.assert_array_equal(together['gt_seg_map'], alone[0]['gt_seg_map'])


@pytest.mark.smoke
def test_channel_swap_of_stock_preprocessors():
    pytest.importorskip('mmseg.models')
    pytest.importorskip('mmdet.models')
    LoadPairedImage()
    pair = dict(inputs=[torch.rand(6, 4, 4)], data_samples=None)
    for host, name in (('mmdet', 'DetDataPreprocessor'), ('mmseg', 'SegDataPreProcessor')):
        with DefaultScope.overwrite_default_scope(host):
            swapping = MODELS.build(dict(type=name, bgr_to_rgb=True))
            with pytest.raises(ValueError, match=rf'{name}\(bgr_to_rgb=True\).*mmdefusion.Paired'):
                swapping(pair)
            one = dict(inputs=[torch.rand(3, 4, 4)], data_samples=None)
            torch.testing.assert_close(swapping(one)['inputs'][0], one['inputs'][0].flip(0))
            kept = MODELS.build(dict(type=name, bgr_to_rgb=False))(pair)['inputs'][0]
            torch.testing.assert_close(kept, pair['inputs'][0])


@pytest.mark.parametrize(('host', 'name'), [('mmengine', 'ImgDataPreprocessor'), ('mmdet', 'DetDataPreprocessor')])
def test_six_means(host, name):
    pytest.importorskip(f'{host}.model' if host == 'mmengine' else f'{host}.models')
    with DefaultScope.overwrite_default_scope(host):
        with pytest.raises(AssertionError, match='should have 1 or 3 values.* got 6'):
            MODELS.build(dict(type=name, mean=[0.0] * 6, std=[255.0] * 6))
