# Copyright (c) mmdefusion authors. All rights reserved.
import sys

import pytest
import torch

from mmdefusion.registry import MODELS

HOSTS = {'PairedDetDataPreprocessor': 'mmdet', 'PairedSegDataPreProcessor': 'mmseg'}


@pytest.fixture(params=HOSTS)
def preprocessor_type(request):
    """Registered name of each class, where its host is installed."""
    pytest.importorskip(HOSTS[request.param])
    return request.param


def samples(preprocessor_type, shapes):
    if preprocessor_type == 'PairedDetDataPreprocessor':
        from mmdet.structures import DetDataSample as Sample
    else:
        from mmseg.structures import SegDataSample as Sample
    return [Sample(metainfo=dict(img_shape=shape)) for shape in shapes]


def build(preprocessor_type, **kwargs):
    return MODELS.build(dict(type=f'mmdefusion.{preprocessor_type}', **kwargs))


def pair(height=2, width=2):
    """A pair whose six channels are 0, 51, ..., 255."""
    values = torch.arange(0, 256, 51, dtype=torch.uint8)
    return values.view(6, 1, 1).expand(6, height, width)


@pytest.mark.smoke
def test_bgr_bytes_become_rgb_between_0_and_1_for_each_source(preprocessor_type):
    preprocessor = build(preprocessor_type)
    assert type(preprocessor).__name__ == preprocessor_type
    for inputs in ([pair(), pair()], torch.stack([pair(), pair()])):
        data = dict(inputs=inputs, data_samples=samples(preprocessor_type, [(2, 2)] * 2))
        batch = preprocessor(data)['inputs']
        assert batch.shape == (2, 6, 2, 2)
        torch.testing.assert_close(batch[1, :, 1, 0], torch.tensor([0.4, 0.2, 0.0, 1.0, 0.8, 0.6]))
        # The caller's data are as they were.
        assert data['inputs'][0].dtype == torch.uint8


def test_six_means(preprocessor_type):
    means, stds = [102.0, 0.0, 0.0, 0.0, 204.0, 153.0], [1.0, 51.0, 1.0, 255.0, 1.0, 2.0]
    data = dict(inputs=[pair()], data_samples=samples(preprocessor_type, [(2, 2)]))
    batch = build(preprocessor_type, mean=means, std=stds)(data)['inputs']
    assert batch[0, :, 0, 0].tolist() == [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
    batch = build(preprocessor_type, mean=means, std=[1.0] * 6, bgr_to_rgb=False)(data)['inputs']
    assert batch[0, :, 0, 0].tolist() == [-102.0, 51.0, 102.0, 153.0, 0.0, 102.0]


def test_the_stock_class_pads_and_tells_the_samples(preprocessor_type):
    divisor = dict(PairedDetDataPreprocessor=dict(pad_size_divisor=4)).get(preprocessor_type, dict(size_divisor=4))
    preprocessor = build(preprocessor_type, **divisor)
    data_samples = samples(preprocessor_type, [(3, 5), (2, 2)])
    if preprocessor_type == 'PairedSegDataPreProcessor':
        from mmengine.structures import PixelData

        for sample, shape in zip(data_samples, [(3, 5), (2, 2)], strict=True):
            sample.gt_sem_seg = PixelData(data=torch.zeros(1, *shape, dtype=torch.long))
    batch = preprocessor(dict(inputs=[pair(3, 5), pair()], data_samples=data_samples), training=True)
    assert batch['inputs'].shape == (2, 6, 4, 8)
    # Padding is black, in both sources.
    assert batch['inputs'][1, :, 2:].abs().max() == 0 and batch['inputs'][1, 3, :2, :2].min() == 1
    assert batch['data_samples'][0].pad_shape[:2] == (4, 8)


def test_what_is_not_a_pair(preprocessor_type):
    preprocessor = build(preprocessor_type)
    with pytest.raises(ValueError, match=r'expects 6 channels.*shape \(3, 4, 4\).*mmdefusion.LoadPairedImage'):
        preprocessor(dict(inputs=[torch.zeros(3, 4, 4)], data_samples=samples(preprocessor_type, [(4, 4)])))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        # What a config inherits that changes nothing but the type.
        (dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]), r'mean has 3 values.*expected 6'),
        (dict(std=[255.0]), 'std has 1 values'),
        (dict(std=[255.0] * 5 + [0.0]), 'std must be positive'),
        (dict(rgb_to_bgr=True), 'rgb_to_bgr is not supported'),
    ],
)
def test_settings_of_three_channels_are_refused(preprocessor_type, settings, message):
    with pytest.raises(ValueError, match=f'{preprocessor_type}: {message}'):
        build(preprocessor_type, **settings)


@pytest.mark.parametrize('preprocessor_type', HOSTS)
def test_absent_host(preprocessor_type, monkeypatch):
    from mmdefusion.models.data_preprocessors import paired_data_preprocessor

    paired_data_preprocessor._paired_class.cache_clear()
    monkeypatch.setitem(sys.modules, f'{HOSTS[preprocessor_type]}.models', None)
    monkeypatch.setitem(sys.modules, HOSTS[preprocessor_type], None)
    title = dict(mmdet='MMDetection', mmseg='MMSegmentation')[HOSTS[preprocessor_type]]
    with pytest.raises(ImportError, match=rf'{preprocessor_type} needs {title}.*pip install -r requirements/\w+.txt'):
        build(preprocessor_type)
