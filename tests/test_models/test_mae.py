# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch
from torch import nn

from mmdefusion.models import MAE, FrozenEncoder, MAEDecoder, MAEHead, MAEViT
from mmdefusion.models.layers import TokenGrid, gather_tokens, patchify, sincos_positions
from mmdefusion.testing import TINY_TEACHER

GRID = TokenGrid(2, 3, 2, 3)


def make_mae(**head):
    return MAE(
        backbone=dict(type='mmdefusion.MAEViT', **TINY_TEACHER),
        neck=dict(type='mmdefusion.MAEDecoder', in_dims=12, patch_size=8, embed_dims=8, depth=1, num_heads=2),
        head=dict(type='mmdefusion.MAEHead', patch_size=8, **head),
    )


def test_sizes_of_the_published_encoder():
    encoder = MAEViT()
    # 12 blocks of 12 D^2 + 13 D, the patch embedding, the norm and the class token; D = 768.
    expected = 12 * (12 * 768**2 + 13 * 768) + 768 * (768 + 1) + 2 * 768 + 768
    assert sum(parameter.numel() for parameter in encoder.parameters()) == expected
    names = set(encoder.state_dict())
    assert {'cls_token', 'pos_embed', 'patch_embed.proj.weight', 'norm.bias', 'blocks.11.attn.qkv.bias'} <= names
    assert {'blocks.0.norm1.weight', 'blocks.0.attn.proj.weight', 'blocks.0.mlp.fc2.bias'} <= names
    assert len(names) == 4 + 12 * 12 + 2
    assert encoder.pos_embed.shape == (1, 197, 768)


def test_positions():
    encoder = MAEViT(**{**TINY_TEACHER, 'img_size': 32})
    grid = TokenGrid(4, 4, 4, 4)
    assert torch.equal(encoder.positions(grid), sincos_positions(grid, 12, torch.device('cpu')))
    assert encoder.pos_embed[:, :1].abs().sum() == 0
    # Interpolation keeps a ramp, except at its ends: eight columns become sixteen.
    encoder = MAEViT(**{**TINY_TEACHER, 'img_size': 64})
    encoder.pos_embed[:, 1:] = torch.arange(8.0).repeat(8)[None, :, None]
    wide = encoder.positions(TokenGrid(4, 16, 4, 16)).view(4, 16, 12)
    torch.testing.assert_close(wide[1, 4:12, 0], torch.arange(4, 12) / 2 - 0.25, atol=0.05, rtol=0)
    assert (wide == wide[..., :1]).all() and torch.allclose(wide[0], wide[3])


def test_what_is_hidden_does_not_matter():
    encoder = MAEViT(**TINY_TEACHER).eval()
    images, ids = torch.rand(2, 3, 16, 24), torch.tensor([[0, 4], [1, 2]])
    others = images.clone()
    seen = torch.zeros(2, 6).scatter(1, ids, 1).view(2, 1, 2, 3).repeat_interleave(8, 2).repeat_interleave(8, 3)
    others = torch.where(seen.bool(), images, torch.rand_like(images))
    tokens = encoder(images, ids)
    assert tokens.shape == (2, 3, 12)
    torch.testing.assert_close(tokens, encoder(others, ids))
    everything = encoder(images, torch.arange(6).expand(2, 6))
    torch.testing.assert_close(everything, encoder(images))


def test_visible_positions():
    ids = MAEDecoder(in_dims=12, embed_dims=8, depth=1, num_heads=2).draw_visible(64, 16, torch.device('cpu'))
    assert ids.shape == (64, 4)
    assert (ids.diff(dim=1) > 0).all() and ids.min() == 0 and ids.max() == 15
    assert len(torch.unique(ids, dim=0)) > 32


def test_the_decoder_puts_tokens_where_they_belong():
    decoder = MAEDecoder(in_dims=8, patch_size=2, embed_dims=8, depth=1, num_heads=2)
    decoder.decoder_embed, decoder.decoder_norm, decoder.decoder_pred = nn.Identity(), nn.Identity(), nn.Identity()
    decoder.decoder_blocks = nn.ModuleList()
    tokens = torch.randn(1, 3, 8)
    pred = decoder(tokens, torch.tensor([[1, 4]]), GRID) - sincos_positions(GRID, 8, torch.device('cpu'))
    torch.testing.assert_close(pred[0, [1, 4]], tokens[0, 1:])
    torch.testing.assert_close(pred[0, [0, 2, 3, 5]], decoder.mask_token[0].expand(4, 8))


def test_loss_by_hand():
    images, ids = torch.rand(2, 3, 16, 24), torch.tensor([[0, 4], [1, 2]])
    patches = patchify(images, GRID, 8)
    hidden = torch.tensor([[1, 2, 3, 5], [0, 3, 4, 5]])
    pred = torch.randn(2, 6, 192)
    errors = [(pred[n, i] - patches[n, i]).square().mean() for n in range(2) for i in hidden[n]]
    loss = MAEHead(patch_size=8, norm_pix=False).loss(pred, images, ids, GRID)
    torch.testing.assert_close(loss['loss_mae'], torch.stack(errors).mean())
    normalized = (patches - patches.mean(-1, keepdim=True)) / patches.std(-1, keepdim=True)
    errors = (gather_tokens(pred, hidden) - gather_tokens(normalized, hidden)).square()
    loss = MAEHead(patch_size=8).loss(pred, images, ids, GRID)
    torch.testing.assert_close(loss['loss_mae'], errors.mean(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('norm_pix', [True, False])
def test_a_perfect_prediction_completes_the_image(norm_pix):
    images, ids = torch.rand(1, 3, 16, 24), torch.tensor([[0, 4]])
    patches = patchify(images, GRID, 8)
    if norm_pix:
        patches = (patches - patches.mean(-1, keepdim=True)) / (patches.var(-1, keepdim=True) + 1e-6).sqrt()
    head = MAEHead(patch_size=8, norm_pix=norm_pix)
    seen, completed = head.reconstruct(patches, images, ids, GRID)
    torch.testing.assert_close(completed, images)
    assert torch.equal(seen[..., :8, :8], images[..., :8, :8]) and (seen[..., :8, 8:] == 0.5).all()
    assert head.loss(patches, images, ids, GRID)['loss_mae'] < 1e-8


def test_gradients_reach_every_parameter_and_modes():
    model = make_mae()
    images = torch.rand(2, 3, 32, 32)
    model(images, mode='loss')['loss_mae'].backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())
    (first, _) = model(images, mode='predict')
    assert torch.equal(first.gt_fused, images[0])
    visible = first.view1 != 0.5
    assert visible.float().mean() == pytest.approx(0.25, abs=0.01)
    torch.testing.assert_close(first.pred_masked[visible], images[0][visible])
    torch.testing.assert_close(model.eval()(images), model.backbone(images))
    with pytest.raises(ValueError, match="mode must be .* got 'train'"):
        model(images, mode='train')


def test_learns():
    torch.manual_seed(0)
    model = make_mae(norm_pix=False)
    images = nn.functional.interpolate(torch.rand(8, 3, 4, 4), size=32, mode='bilinear')
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    history = []
    for _ in range(60):
        loss = model(images, mode='loss')['loss_mae']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert sum(history[-5:]) < 0.8 * sum(history[:5])


def test_its_checkpoint_is_a_teacher(tmp_path):
    model = make_mae().eval()
    nn.init.normal_(model.backbone.cls_token)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'mae.pth')
    teacher = FrozenEncoder(dict(type='mmdefusion.MAEViT', **TINY_TEACHER), str(tmp_path / 'mae.pth'))
    teacher.init_weights()
    images = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(teacher(images), model(images))


def test_bad_sizes():
    with pytest.raises(ValueError, match='images of 16x20 pixels; expected multiples of the patch 8'):
        MAEViT(**TINY_TEACHER)(torch.rand(1, 3, 16, 20))
    with pytest.raises(ValueError, match='patch_size must divide img_size'):
        MAEViT(img_size=20, patch_size=16)
    with pytest.raises(ValueError, match='mask_ratio must lie between 0 and 1, got 1'):
        MAEDecoder(mask_ratio=1)
