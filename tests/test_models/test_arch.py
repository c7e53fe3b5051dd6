# Copyright (c) mmdefusion authors. All rights reserved.
import pytest

from mmdefusion.models.layers import ARCHS, get_arch


def test_lookup():
    assert get_arch('tiny') == ARCHS['tiny']
    arch = get_arch(dict(base='nano', depth=7))
    assert (arch.depth, arch.embed_dims) == (7, ARCHS['nano'].embed_dims)
    assert get_arch(dict(embed_dims=64, cross_heads=4, num_heads=4)).depth == ARCHS['tiny'].depth


@pytest.mark.parametrize(
    ('arch', 'message'),
    [
        ('huge', "unknown arch 'huge', expected one of .*nano.*tiny"),
        (dict(width=3), r"unknown arch settings \['width'\]"),
        (dict(embed_dims=100), 'embed_dims must be divisible'),
        (dict(depth=0), 'depth must be at least 1, got 0'),
    ],
)
def test_bad_arch(arch, message):
    with pytest.raises(ValueError, match=message):
        get_arch(arch)
