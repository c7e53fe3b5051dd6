# Copyright (c) mmdefusion authors. All rights reserved.
import numpy as np
import pytest
import torch

from mmdefusion.models.layers import (
    TokenGrid,
    patchify,
    reflect_pad,
    sincos_positions,
    to_map,
    unpatchify,
    window_shift,
)

CPU = torch.device('cpu')


@pytest.mark.parametrize(
    ('size', 'window', 'expected'),
    [
        ((32, 48), None, (4, 6, 4, 6)),
        ((33, 41), None, (5, 6, 5, 6)),
        ((33, 41), 2, (6, 6, 2, 2)),
        ((1, 1), 4, (4, 4, 4, 4)),
    ],
)
def test_grid_covers_the_image_with_whole_windows(size, window, expected):
    assert TokenGrid.of_image(*size, patch_size=8, window_size=window) == expected


def test_patchify_orders_tokens_window_by_window_and_values_channel_by_channel():
    grid = TokenGrid(2, 4, 2, 2)
    pixel = torch.arange(2 * 4 * 8).view(1, 2, 4, 8).float()  # two channels, patches of 2x2
    tokens = patchify(pixel, grid, 2)
    assert tokens.shape == (1, 8, 8)
    # First window holds the patches at columns 0-1 of both rows, second window those at columns 2-3.
    assert tokens[0, :, 0].tolist() == [0, 2, 16, 18, 4, 6, 20, 22]
    # Channel 0 of the first patch: rows 0 and 1, columns 0 and 1; then channel 1, 32 further on.
    assert tokens[0, 0].tolist() == [0, 1, 8, 9, 32, 33, 40, 41]


@pytest.mark.parametrize('window', [None, 2, 4])
def test_unpatchify_inverts_patchify(window):
    grid = TokenGrid.of_image(24, 40, 5, window)
    image = torch.rand(2, 3, grid.height * 5, grid.width * 5)
    assert torch.equal(unpatchify(patchify(image, grid, 5), grid, 5), image)


def test_map_puts_each_token_at_its_place():
    grid = TokenGrid(4, 4, 2, 2)
    plane = torch.arange(16).view(1, 1, 4, 4).float()
    assert torch.equal(to_map(patchify(plane, grid, 1), grid), plane)


def test_shift_regroups_by_half_a_window_and_separates_wrapped_tokens():
    grid = TokenGrid(4, 4, 2, 2)
    shift = window_shift(grid, CPU)
    plane = torch.arange(16).view(1, 1, 4, 4).float()
    windows = patchify(plane, grid, 1)[0, shift.order, 0].view(4, 4)
    assert windows[0].tolist() == [5, 6, 9, 10]  # the centre, moved by one row and column
    assert windows[1].tolist() == [7, 4, 11, 8]  # columns 3 and 0: not neighbours
    assert shift.mask[0].all()
    assert shift.mask[1].int().tolist() == [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]
    assert shift.mask[3].int().tolist() == torch.eye(4).int().tolist()
    assert torch.equal(shift.order[shift.inverse], torch.arange(16))


def test_shift_moves_only_along_sides_with_several_windows():
    assert window_shift(TokenGrid(4, 6, 4, 6), CPU) is None
    shift = window_shift(TokenGrid(2, 4, 2, 2), CPU)
    # Two windows side by side: columns 1, 2 and columns 3, 0, rows as they were.
    assert shift.order.tolist() == [1, 4, 3, 6, 5, 0, 7, 2]
    assert shift.mask[0].all() and not shift.mask[1].all()


def test_positions_match_mae_and_repeat_in_every_window():
    table = to_map(sincos_positions(TokenGrid(3, 5, 3, 5), 16, CPU), TokenGrid(3, 5, 3, 5))[0]
    frequency = 1 / 10000 ** (np.arange(4) / 4)
    row, column = 2, 3
    expected = np.concatenate(
        [np.sin(column * frequency), np.cos(column * frequency), np.sin(row * frequency), np.cos(row * frequency)]
    )
    np.testing.assert_allclose(table[:, row, column].numpy(), expected, rtol=1e-6, atol=1e-6)
    windows = sincos_positions(TokenGrid(4, 6, 2, 2), 16, CPU).view(6, 4, 16)
    assert torch.equal(windows, windows[:1].expand(6, -1, -1))
    with pytest.raises(ValueError, match='divisible by 4, got 18'):
        sincos_positions(TokenGrid(2, 2, 2, 2), 18, CPU)


@pytest.mark.parametrize(('size', 'padded'), [((5, 7), (8, 8)), ((3, 2), (16, 11)), ((1, 4), (5, 4)), ((4, 4), (4, 4))])
def test_reflection_equals_numpy(size, padded):
    image = torch.rand(2, 3, *size)
    expected = np.pad(
        image.numpy(), ((0, 0), (0, 0), (0, padded[0] - size[0]), (0, padded[1] - size[1])), mode='reflect'
    )
    np.testing.assert_array_equal(reflect_pad(image, *padded).numpy(), expected)
