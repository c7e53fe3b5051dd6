# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch

from mmdefusion.models import DeFusionDecoder, DeFusionViT
from mmdefusion.testing import TINY_ARCH


@pytest.fixture
def tokens():
    backbone = DeFusionViT(TINY_ARCH).eval()
    return backbone, backbone.decompose(*torch.rand(2, 2, 3, 32, 32))


def test_as_many_tokens_stay_in_every_window(tokens):
    _, tokens = tokens
    decoder = DeFusionDecoder(TINY_ARCH, mask_ratio=0.75)
    ids = decoder.draw_visible(tokens)
    assert ids.shape == (2, 16)  # a quarter of 64 tokens
    windows = ids // 16
    assert (windows == torch.arange(4).repeat_interleave(4)).all()
    assert all(len(set(row.tolist())) == 16 for row in ids)
    assert not torch.equal(ids[0], ids[1])  # drawn for each sample of its own


def test_every_position_is_drawn_alike(tokens):
    _, tokens = tokens
    decoder = DeFusionDecoder(TINY_ARCH)
    torch.manual_seed(0)
    counts = sum(torch.bincount(decoder.draw_visible(tokens).flatten(), minlength=64) for _ in range(400))
    assert (counts / 800 - 0.25).abs().max() < 0.07


def test_masked_image_does_not_depend_on_dropped_tokens(tokens):
    backbone, tokens = tokens
    decoder = DeFusionDecoder(TINY_ARCH).eval()
    ids = decoder.draw_visible(tokens)
    dropped = torch.ones(2, 64, 1).scatter(1, ids[..., None], 0)
    noise = [torch.randn_like(part) * dropped.repeat(part.size(0) // 2, 1, 1) for part in tokens[:4]]
    changed = tokens._replace(
        **{name: part + extra for name, part, extra in zip(tokens._fields[:4], tokens[:4], noise, strict=True)}
    )
    sources = torch.rand(2, 2, 3, 32, 32)
    before = decoder(tokens, backbone.fuse(tokens), *sources, backbone.fuse(tokens.keep(ids)), ids)
    after = decoder(changed, backbone.fuse(changed), *sources, backbone.fuse(changed.keep(ids)), ids)
    assert torch.equal(before.masked, after.masked)
    assert not torch.allclose(before.fused, after.fused)


def test_keeping_all_tokens_equals_not_masking(tokens):
    backbone, tokens = tokens
    everything = torch.arange(64).repeat(2, 1)
    torch.testing.assert_close(backbone.fuse(tokens.keep(everything)), backbone.fuse(tokens))


def test_images_have_the_sources_size_and_full_precision():
    backbone, decoder = DeFusionViT(TINY_ARCH).eval(), DeFusionDecoder(TINY_ARCH).eval()
    with torch.autocast('cpu', torch.bfloat16):
        sources = torch.rand(2, 1, 3, 21, 34)
        tokens = backbone.decompose(*sources)
        images = decoder(tokens, backbone.fuse(tokens), *sources)
    assert images.masked is None
    for image in images[:4]:
        assert image.shape == (1, 3, 21, 34) and image.dtype == torch.float32
        assert not torch.equal(image, image.bfloat16().float())


def test_bad_mask_ratio():
    with pytest.raises(ValueError, match='between 0 and 1, got 1'):
        DeFusionDecoder(TINY_ARCH, mask_ratio=1)


def test_frozen_queries_stay_at_zero_and_out_of_the_gradient_norm():
    arch = {**TINY_ARCH, 'detail_dims': 4}
    backbone, decoder = DeFusionViT(arch), DeFusionDecoder(arch, frozen_queries=True)
    sources = torch.rand(2, 1, 3, 32, 32)
    tokens = backbone.decompose(*sources)
    decoder(tokens, backbone.fuse(tokens), *sources).fused.square().mean().backward()
    frozen = {name: weight for name, weight in decoder.named_parameters() if not weight.requires_grad}
    queries = [f'fused.detail.{query}_query.{kind}' for query in ('base', 'gradient') for kind in ('weight', 'bias')]
    assert sorted(frozen) == sorted(queries)
    assert all(weight.grad is None and not weight.any() for weight in frozen.values())
    assert decoder.fused.detail.amplification.weight.grad.any()


def test_queries_cannot_be_frozen_where_there_are_none():
    with pytest.raises(ValueError, match='frozen_queries needs an arch with a full-resolution path'):
        DeFusionDecoder(TINY_ARCH, frozen_queries=True)
