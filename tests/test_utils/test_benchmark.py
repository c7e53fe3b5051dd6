# Copyright (c) mmdefusion authors. All rights reserved.
import time

import pytest
import torch
import torch.nn.functional as F

from mmdefusion.utils.benchmark import ConvStack, count_flops, peak_memory, summarize, time_alternately


def test_quartiles_by_hand():
    timing = summarize([5.0, 1.0, 3.0, 2.0, 4.0])
    assert timing == (3.0, 2.0, 4.0, 1.0, 5)
    assert summarize([2.0]) == (2.0, 2.0, 2.0, 2.0, 1)


def test_functions_run_in_turn():
    calls = []
    timings = time_alternately({name: lambda name=name: calls.append(name) for name in 'ab'}, repeats=3, warmup=1)
    assert ''.join(calls) == 'ab' * 4
    assert [timing.runs for timing in timings.values()] == [3, 3]


def test_no_round_after_the_time_is_up():
    timings = time_alternately(dict(sleep=lambda: time.sleep(0.06)), repeats=50, warmup=0, max_seconds=0.1)
    assert 1 <= timings['sleep'].runs <= 2 and timings['sleep'].best >= 0.06


def test_flops_by_hand():
    x, weight = torch.rand(5, 7), torch.rand(11, 7)
    assert count_flops(lambda: F.linear(x, weight)) == 2 * 5 * 7 * 11
    q, k, v = torch.rand(3, 2, 4, 300, 8).unbind()
    # Two products of (300, 8) with (8, 300) in each of eight heads, whichever kernel does it.
    assert count_flops(lambda: F.scaled_dot_product_attention(q, k, v)) == 8 * 2 * 2 * 300 * 300 * 8


def test_convolution_stack_has_the_size_of_its_docstring():
    stack = ConvStack().eval()
    x = torch.rand(1, 3, 20, 30)
    per_source = 7 * 7 * 3 * 64 + 3 * 3 * 64 * 64
    expected = 2 * 20 * 30 * (2 * per_source + 3 * 3 * 64 * 64 + 64 * 3)
    with torch.no_grad():
        assert count_flops(lambda: stack(x, x)) == expected
        assert stack(x, x.flip(-1)).shape == (1, 3, 20, 30)


def test_peak_memory_of_a_known_array():
    def run():
        torch.ones(64, 2**20, dtype=torch.uint8)

    found = peak_memory(run)
    if found is None:
        pytest.skip('peak memory is not known here')
    assert 63 * 2**20 < found < 72 * 2**20
