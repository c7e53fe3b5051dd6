# Copyright (c) mmdefusion authors. All rights reserved.
import numpy as np
import pytest

from mmdefusion.datasets.transforms import RandomCUDMasks


def draw(transform, size=(78, 78), seed=0):
    np.random.seed(seed)
    return transform(dict(img=np.zeros((*size, 3), np.uint8)))['cud_masks']


@pytest.mark.parametrize('size', [(78, 78), (37, 61), (5, 9)])
def test_every_pixel_is_seen(size):
    for seed in range(20):
        masks = draw(RandomCUDMasks(), size, seed)
        assert masks.shape == (2, *size) and masks.dtype == np.uint8
        assert set(np.unique(masks)) <= {0, 1}
        assert masks.max(axis=0).all()


def test_masks_are_made_of_cells():
    masks = draw(RandomCUDMasks(coarse=13, fine=(26,)), (78, 78), seed=1)  # fine cells of 3x3 pixels
    cells = masks.reshape(2, 26, 3, 26, 3)
    assert (cells == cells[:, :, :1, :, :1]).all()


def test_law_of_the_masks():
    """Both views see a cell with probability q^4; q = 0.1 + U / 1.12."""
    both, first = [], []
    for seed in range(600):
        masks = draw(RandomCUDMasks(fine=(26,)), (26, 26), seed)
        both.append((masks[0] & masks[1]).mean())
        first.append(masks[0].mean())
    low, high = 0.1, 0.1 + 1 / 1.12
    expected = (high**5 - low**5) / (5 * (high - low))
    assert np.mean(both) == pytest.approx(expected, abs=0.03)
    # Symmetric in the views: each sees what both see and half of the rest.
    assert np.mean(first) == pytest.approx((1 + expected) / 2, abs=0.03)


def test_the_seed_decides():
    assert (draw(RandomCUDMasks(), seed=5) == draw(RandomCUDMasks(), seed=5)).all()
    assert (draw(RandomCUDMasks(), seed=5) != draw(RandomCUDMasks(), seed=6)).any()


def test_bad_grid():
    with pytest.raises(ValueError, match='at least one cell a side, got coarse=0'):
        RandomCUDMasks(coarse=0)
