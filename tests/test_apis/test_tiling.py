# Copyright (c) mmdefusion authors. All rights reserved.
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS

from mmdefusion.apis.tile_planner import BYTES_PER_PIXEL, GIB, TilePlanner, receptive_field
from mmdefusion.apis.tiling import Span, blend_tiles, plan_axis
from mmdefusion.models.layers import get_arch
from mmdefusion.testing import TINY_ARCH, tiny_model_cfg

DETAIL_ARCH = {**TINY_ARCH, 'detail_dims': 4}


def test_plan_by_hand():
    # Starts 0, 8, 16 see 12 pixels each and share 4; the middle 2 of these are blended.
    assert plan_axis(26, tile=12, overlap=4, ramp=2, period=4) == [
        Span(0, 12, 0, 11, 0, 2),
        Span(8, 20, 9, 19, 2, 2),
        Span(16, 26, 17, 26, 2, 0),
    ]
    assert plan_axis(12, tile=12, overlap=4, ramp=2) == [Span(0, 12, 0, 12, 0, 0)]


@pytest.mark.parametrize('length', [13, 16, 17, 40, 41, 97])
@pytest.mark.parametrize('tile, overlap, ramp, period', [(12, 4, 4, 4), (12, 4, 0, 4), (13, 5, 3, 1), (12, 0, 0, 4)])
def test_plan_covers_every_pixel_once(length, tile, overlap, ramp, period):
    spans = plan_axis(length, tile, overlap, ramp, period)
    total = np.zeros(length)
    for span in spans:
        assert span.start % period == 0 and span.stop - span.start <= tile
        assert span.start <= span.keep_start < span.keep_stop <= span.stop
        total[span.keep_start : span.keep_stop] += span.weights()
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert spans[0].keep_start == 0 and spans[-1].stop == spans[-1].keep_stop == length
    # Tiles are even: none is larger than another by a period or more, except the last one.
    assert len({span.stop - span.start for span in spans[:-1]}) <= 1


@pytest.mark.parametrize('sizes', [(12, 3, 0, 4), (7, 4, 0, 4), (12, 4, 5, 4)])
def test_sizes_that_do_not_fit(sizes):
    with pytest.raises(ValueError, match='do not fit: expected an overlap'):
        plan_axis(100, *sizes)


@pytest.mark.parametrize('ramp', [0, 2, 4])
def test_blending_equal_tiles_gives_the_image_back(ramp):
    image = np.random.default_rng(0).random((37, 30, 2), np.float32)
    rows, columns = plan_axis(37, 12, 4, ramp, 4), plan_axis(30, 16, 4, ramp, 4)
    result, writes = np.full_like(image, np.nan), np.zeros((37, 30), int)

    def predict(row, column):
        return image[row.read, column.read][row.kept, column.kept]

    def write(y, x, values):
        result[y, x] = values
        writes[y, x] += 1

    blend_tiles(rows, columns, predict, write)
    np.testing.assert_allclose(result, image, atol=1e-6)
    assert (writes == 1).all()


def test_blending_is_linear_between_two_tiles():
    columns = plan_axis(20, 12, 4, 4, 4)
    result = np.empty((3, 20), np.float32)

    def predict(row, column):
        return np.full((3, column.keep_stop - column.keep_start, 1), float(column.start > 0), np.float32)

    def write(y, x, values):
        result[y, x] = values[..., 0]

    blend_tiles(plan_axis(3, 12, 4, 4, 4), columns, predict, write)
    expected = [0] * 8 + [0.125, 0.375, 0.625, 0.875] + [1] * 8
    np.testing.assert_allclose(result, [expected] * 3, atol=1e-6)


def network(arch):
    """A small network whose branches all matter: at the start residual branches are close to zero."""
    cfg = tiny_model_cfg()
    for part in ('backbone', 'neck'):
        cfg[part]['arch'] = arch
    torch.manual_seed(0)
    with MODELS.switch_scope_and_registry('mmdefusion') as registry:
        model = registry.build(cfg).eval()
    for weight in model.parameters():
        scale = 0.7 * weight[0].numel() ** -0.5 if weight.ndim > 1 else 0.02
        weight.data += scale * torch.randn_like(weight)
    return model


def contrast_of(image):
    """What a range of 1 has become: random weights amplify."""
    return max(1, image.max() - image.min())


@pytest.mark.parametrize('arch', [TINY_ARCH, {**TINY_ARCH, 'depth': 4}, DETAIL_ARCH])
def test_receptive_field_is_exact(arch):
    model, period, reach = network(arch), 16, receptive_field(get_arch(arch))
    count = 2 * reach // period + 5
    window = slice(count // 2 * period, count // 2 * period + period)
    x = torch.rand(1, 6, 2 * period, count * period)

    def change_beyond(distance):
        other = torch.rand_like(x)
        near = slice(window.start - distance, window.stop + distance)
        other[..., near] = x[..., near]
        with torch.no_grad():
            results = [model.decode_fused(*pair.chunk(2, dim=1))[..., window] for pair in (x, other)]
        return ((results[0] - results[1]).abs().max() / contrast_of(results[0])).item()

    if arch.get('detail_dims'):
        # The solution in the gradient domain fades, but has no end: far less than a gray level is left.
        assert change_beyond(reach) < 2e-5
    else:
        assert change_beyond(reach) < 1e-6
        assert change_beyond(reach - period) > 1e-6


def test_receptive_field_by_hand():
    # Windows of 16 pixels; the second block and the last one of the fusion look into displaced windows.
    assert receptive_field(get_arch(TINY_ARCH)) == 32
    assert receptive_field(get_arch({**TINY_ARCH, 'depth': 4})) == 48
    # 8 pixels of the stem, and 48 of convolutions, 128 of the smoothed decision and 96 of the gradient domain, are 18
    # windows more.
    assert receptive_field(get_arch(DETAIL_ARCH)) == 320
    assert receptive_field(get_arch('tiny')) is None


def fuse_in_tiles(model, x, planner):
    result = torch.empty(1, 3, *x.shape[-2:]).numpy()

    def predict(row, column):
        with torch.no_grad():
            fused = model.decode_fused(*x[..., row.read, column.read].chunk(2, dim=1))
        return fused[0, :, row.kept, column.kept].permute(1, 2, 0).numpy()

    def write(rows, columns, values):
        result[0, :, rows, columns] = values.transpose(2, 0, 1)

    plan = planner.plan(*x.shape[-2:])
    assert len(plan[0]) > 1 and len(plan[1]) > 1
    blend_tiles(*plan, predict, write)
    return result, plan


@pytest.mark.parametrize(('arch', 'tolerance'), [(TINY_ARCH, 2e-5), (DETAIL_ARCH, 1 / 255)])
def test_overlap_of_the_receptive_field_changes_nothing(arch, tolerance):
    """Or, with a full-resolution path, less than a gray level at the image's borders, whose mirror images end."""
    model = network(arch)
    reach = receptive_field(model.backbone.arch)
    planner = TilePlanner.of_model(model, 'float32', 1, tile_size=2 * reach + 48, tile_overlap=2 * reach)
    assert planner.ramp == 0
    x = torch.rand(1, 6, 2 * reach + 77, 2 * reach + 131)
    with torch.no_grad():
        whole = model.decode_fused(*x.chunk(2, dim=1)).numpy()
    tiled = fuse_in_tiles(model, x, planner)[0]
    contrast = contrast_of(whole)
    np.testing.assert_allclose(tiled / contrast, whole / contrast, rtol=0, atol=tolerance)
    inside = (..., slice(96, -96), slice(96, -96))
    np.testing.assert_allclose(tiled[inside] / contrast, whole[inside] / contrast, rtol=0, atol=5e-5)


def test_default_overlap_is_right_inside_and_blends_seams():
    model = network({**TINY_ARCH, 'window_size': 8, 'depth': 4})
    planner = TilePlanner.of_model(model, 'float32', 1, tile_size=256)
    assert (planner.period, planner.overlap, planner.ramp) == (32, 128, 44)
    # Waves, so that a seam would not hide in noise.
    rows, columns = torch.meshgrid(torch.arange(420.0), torch.arange(400.0), indexing='ij')
    wave = 0.5 + 0.25 * torch.sin(rows / 19) * torch.cos(columns / 23)
    x = torch.stack([wave, wave**2, 1 - wave, wave.flip(0), wave, wave.flip(1)])[None]
    with torch.no_grad():
        whole = model.decode_fused(*x.chunk(2, dim=1)).numpy()
    contrast = whole.max() - whole.min()
    tiled, spans_of_axes = fuse_in_tiles(model, x, planner)
    inside = np.ones(whole.shape[2:], bool)
    for axis, spans in enumerate(spans_of_axes):
        for span in spans[1:]:
            np.moveaxis(inside, axis, 0)[span.keep_start : span.keep_start + span.ramp_before] = False
    difference = np.abs(tiled - whole).max(axis=(0, 1)) / contrast
    assert inside.mean() > 0.3 and difference[inside].max() < 1 / 255
    # Where the blending begins and ends, there is no step, neither along rows nor along columns.
    for axis, spans in zip((2, 3), spans_of_axes, strict=True):
        steps = np.moveaxis(np.abs(np.diff(tiled - whole, axis=axis)), axis, 0) / contrast
        for span in spans[1:]:
            for line in (span.keep_start, span.keep_start + span.ramp_before):
                assert steps[line - 1].max() < 1 / 255


def test_budget_decides():
    model = network(TINY_ARCH)
    megapixel = 1000 * 1000 * BYTES_PER_PIXEL['float32'] * (16 / 4**2) / (192 / 16**2) / GIB
    planner = TilePlanner.of_model(model, 'float32', megapixel)
    assert planner.plan(1000, 1000) is None
    rows, columns = planner.plan(3000, 5000)
    largest = max(row.stop - row.start for row in rows) * max(column.stop - column.start for column in columns)
    assert 0.5e6 < largest <= 1e6
    # A ribbon needs no cuts along its short side.
    rows, columns = planner.plan(100, 30000)
    assert len(rows) == 1 and columns[0].stop > 7000


def test_model_without_windows_is_blended_over_the_whole_overlap():
    planner = TilePlanner.of_model(torch.nn.Identity(), 'bfloat16', 1, tile_size=512)
    assert (planner.period, planner.overlap, planner.ramp) == (64, 128, 128)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(memory_budget=0), 'more than 0 GiB'),
        (dict(memory_budget=1, tile_overlap=-1), '0 or more'),
        (dict(memory_budget=1, tile_size=79), 'at least 80'),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        TilePlanner.of_model(network(TINY_ARCH), 'float32', **options)
