# Copyright (c) mmdefusion authors. All rights reserved.
import numpy as np
import pytest

from mmdefusion.datasets.packed import epoch_order
from mmdefusion.datasets.packed.order import BufferedShuffle


def draw_all(shuffle, count):
    return [shuffle.draw() for _ in range(count)]


@pytest.mark.parametrize(('length', 'size'), [(1, 5), (50, 1), (50, 8), (50, 50), (50, 99)])
def test_a_buffer_gives_every_number_once_and_never_from_beyond_it(length, size):
    drawn = draw_all(BufferedShuffle(length, size, (0, 1)), length)
    assert sorted(drawn) == list(range(length))
    # When output t is drawn, no more than t + size numbers have entered.
    assert all(number < place + size for place, number in enumerate(drawn))
    if size == 1:
        assert drawn == list(range(length))
    assert drawn == draw_all(BufferedShuffle(length, size, (0, 1)), length)
    if min(length, size) > 1:
        assert drawn != draw_all(BufferedShuffle(length, size, (0, 2)), length)


def test_a_buffer_as_large_as_the_set_shuffles_evenly():
    counts = np.zeros((4, 4), int)
    for seed in range(4000):
        for place, number in enumerate(draw_all(BufferedShuffle(4, 4, (seed,)), 4)):
            counts[place, number] += 1
    # 1000 expected; five standard deviations of a binomial are 137.
    assert abs(counts - 1000).max() < 137


def test_shards_are_in_a_new_order_in_each_epoch_and_indices_stay():
    sizes = [3, 1, 4, 2]
    in_order = epoch_order(sizes, 0, 0, shuffle=False)
    assert [in_order.locate(place) for place in range(10)] == [
        *((0, 0), (0, 1), (0, 2), (1, 0)),
        *((2, 0), (2, 1), (2, 2), (2, 3), (3, 0), (3, 1)),
    ]
    assert [in_order.index(place) for place in range(10)] == list(range(10))
    orders = [epoch_order(sizes, 7, epoch, shuffle=True) for epoch in range(6)]
    assert len({tuple(order.shards) for order in orders}) > 3
    for order in orders:
        assert sorted(order.index(place) for place in range(10)) == list(range(10))
        first = [order.index(place) for place in range(10) if order.locate(place)[1] == 0]
        assert first == [[0, 3, 4, 8][shard] for shard in order.shards]
    assert tuple(epoch_order(sizes, 7, 2, shuffle=True).shards) == tuple(orders[2].shards)
