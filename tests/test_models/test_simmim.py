# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch

from mmdefusion.models import DeFusionViT, SimMIM
from mmdefusion.models.heads import MAEHead
from mmdefusion.models.layers import TokenGrid, hidden_tokens, patchify, unpatchify
from mmdefusion.testing import TINY_ARCH
from mmdefusion.utils.pretrained import load_pretrained

#: Two by two windows of 4x4 patches of 4x4 pixels, with a stem.
ARCH = {**TINY_ARCH, 'detail_dims': 4}


def make_simmim(decompose=False, **head):
    return SimMIM(
        decompose=decompose,
        backbone=dict(type='mmdefusion.DeFusionViT', arch=ARCH),
        neck=dict(type='mmdefusion.SimMIMDecoder', arch=ARCH, mask_ratio=0.75),
        head=dict(type='mmdefusion.MAEHead', patch_size=4, **head),
    )


def test_hidden_tokens():
    hidden = hidden_tokens(torch.tensor([[0, 3], [1, 2]]), 5)
    assert hidden.tolist() == [[False, True, True, False, True], [True, False, False, True, True]]


def test_what_is_hidden_does_not_matter_and_what_is_seen_does():
    torch.manual_seed(0)
    model = make_simmim().eval()
    images, others = torch.rand(2, 2, 3, 32, 32)
    torch.manual_seed(1)
    pred, ids, grid = model.complete(images)
    assert grid == TokenGrid(8, 8, 4, 4) and ids.shape == (2, 16) and pred.shape == (2, 64, 48)
    hidden = hidden_tokens(ids, 64)[..., None].expand(-1, -1, 16)
    pixels = unpatchify(hidden, grid, 4)
    torch.manual_seed(1)
    same, _, _ = model.complete(torch.where(pixels, others, images))
    torch.testing.assert_close(same, pred)
    torch.manual_seed(1)
    other, _, _ = model.complete(torch.where(pixels, images, others))
    assert (other - pred).abs().amax(dim=(1, 2)).min() > 1e-3


def test_gradients_reach_the_encoder_and_nothing_else():
    model = make_simmim()
    images = torch.rand(2, 3, 32, 32)
    model(images, mode='loss')['loss_mae'].backward()
    untouched = ('skip_norms.', 'decomposition.', 'skip_decomposition.', 'fusion.')
    for name, parameter in model.named_parameters():
        if name.startswith(tuple(f'backbone.{part}' for part in untouched)):
            assert parameter.grad is None and not parameter.requires_grad, name
        else:
            assert parameter.grad.abs().sum() > 0, name


def test_a_pair_is_hidden_at_different_places_and_each_image_tells_of_the_other():
    torch.manual_seed(0)
    model = make_simmim(decompose=True).eval()
    first, second, other = torch.rand(3, 2, 3, 32, 32)

    def complete(second):
        torch.manual_seed(1)
        return model.complete(torch.cat([first, second]), num_sources=2)

    pred, ids, grid = complete(second)
    assert ids.shape == (4, 16) and pred.shape == (4, 64, 48)
    assert not torch.equal(ids[:2], ids[2:])
    changed, _, _ = complete(other)
    assert (changed - pred).abs().amax(dim=(1, 2)).min() > 1e-4
    # Of the second images only what is seen.
    hidden = unpatchify(hidden_tokens(ids, 64)[2:, :, None].expand(-1, -1, 16), grid, 4)
    same, _, _ = complete(torch.where(hidden, other, second))
    torch.testing.assert_close(same, pred)


def test_the_loss_of_a_pair_is_that_of_both_images():
    torch.manual_seed(0)
    model = make_simmim(decompose=True)
    model.neck.pred.weight.data.zero_()
    model.neck.pred.bias.data.zero_()
    pair = torch.rand(2, 6, 32, 32)
    # Patches of mean 0 and variance 1 are predicted to be 0: an error of 1, for the sample variance 47 / 48.
    loss = model(pair, mode='loss')['loss_mae']
    assert loss.item() == pytest.approx(47 / 48, rel=1e-3)
    with pytest.raises(ValueError, match='SimMIM takes pairs with decompose=True'):
        make_simmim()(pair, mode='loss')


def test_gradients_of_pairs_reach_decomposition_and_fusion():
    torch.manual_seed(0)
    model = make_simmim(decompose=True)
    model(torch.rand(2, 6, 32, 32), mode='loss')['loss_mae'].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    model.eval()
    (sample,) = model(torch.rand(1, 3, 32, 32), mode='predict')
    assert sample.pred_masked.shape == (3, 32, 32)


def test_whole_windows_only():
    with pytest.raises(ValueError, match='images of 32x40 pixels; expected multiples of 16'):
        make_simmim().complete(torch.rand(1, 3, 32, 40))


def test_learns():
    torch.manual_seed(0)
    model = make_simmim(norm_pix=False)
    images = torch.nn.functional.interpolate(torch.rand(8, 3, 4, 4), size=32, mode='bilinear')
    optimizer = torch.optim.Adam(filter(lambda parameter: parameter.requires_grad, model.parameters()), lr=3e-3)
    history = []
    for _ in range(60):
        loss = model(images, mode='loss')['loss_mae']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert sum(history[-5:]) < 0.5 * sum(history[:5])


def test_its_checkpoint_starts_a_backbone(tmp_path):
    torch.manual_seed(0)
    model = make_simmim()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'simmim.pth')
    backbone = DeFusionViT(arch=ARCH)
    report = load_pretrained(
        backbone, dict(type='Pretrained', checkpoint=str(tmp_path / 'simmim.pth'), prefix='backbone.')
    )
    assert not report.missing and not report.mismatched
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(backbone.state_dict()[name], value), name


def test_noise_of_flat_patches_counts_less_with_a_larger_eps():
    """A patch of variance 1e-6 is normalised to a variance of 1/2 with 1e-6 and of about 1/101 with 1e-4."""
    grid, ids = TokenGrid(1, 2, 1, 2), torch.tensor([[0]])
    image = torch.zeros(1, 3, 4, 8)
    patch = torch.randn(48, generator=torch.Generator().manual_seed(0))
    image[..., 4:] = 1e-3 * ((patch - patch.mean()) / patch.std()).view(3, 4, 4)
    pred = torch.zeros_like(patchify(image, grid, 4))
    for eps, expected in ((1e-6, 1 / 2), (1e-4, 1 / 101)):
        loss = MAEHead(patch_size=4, eps=eps).loss(pred, image, ids, grid)['loss_mae']
        assert loss.item() == pytest.approx(expected * 47 / 48, rel=1e-3)
