# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch
from torch import nn

from mmdefusion.models.layers import strips
from mmdefusion.models.layers.strips import in_strips


@pytest.fixture
def calls(monkeypatch):
    """Strips of about 8 rows of a map 16 pixels wide; what a function was given, in rows."""
    monkeypatch.setattr(strips, '_STRIP_PIXELS', 8 * 16)
    return []


def down_and_up(calls):
    """Three convolutions, one of stride 2: results at full and at half resolution that look 3 rows far."""
    first, second = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def function(image):
        calls.append(image.size(2))
        full = first(image)
        return full, second(first(image)[:, :3].relu())

    return function


@pytest.mark.parametrize('height', [16, 22, 40])
def test_strips_give_what_the_whole_gives(calls, height):
    function, image = down_and_up(calls), torch.randn(2, 2, height, 16)
    with torch.no_grad():
        expected = function(image)
        calls.clear()
        results = in_strips(function, [image], halo=4)
    assert len(calls) == -(-height // 16) and max(calls) <= 16 + 8
    for result, whole in zip(results, expected, strict=True):
        torch.testing.assert_close(result, whole)


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_results_keep_the_memory_layout_of_the_strips(calls, layout):
    with torch.no_grad():
        (result,) = in_strips(lambda x: [(2 * x).contiguous(memory_format=layout)], [torch.rand(1, 3, 40, 16)], halo=2)
    assert result.is_contiguous(memory_format=layout)


def test_maps_of_two_resolutions_are_cut_at_the_same_places(calls):
    conv = nn.Conv2d(1, 1, 3, padding=1)

    def function(coarse, fine):
        calls.append((coarse.size(2), fine.size(2)))
        return [conv(nn.functional.interpolate(coarse, scale_factor=2) + fine)]

    coarse, fine = torch.randn(1, 1, 20, 8), torch.randn(1, 1, 40, 16)
    with torch.no_grad():
        expected = function(coarse, fine)[0]
        calls.clear()
        (result,) = in_strips(function, [coarse, fine], halo=1, step=1)
    assert calls == [(9, 18), (10, 20), (5, 10)]
    torch.testing.assert_close(result, expected)


def test_training_sees_the_whole(calls):
    function, image = down_and_up(calls), torch.randn(1, 2, 40, 16)
    in_strips(function, [image], halo=4)
    assert calls == [40]
