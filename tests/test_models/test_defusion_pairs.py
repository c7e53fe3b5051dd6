# Copyright (c) mmdefusion authors. All rights reserved.
import pytest
import torch
from torch import nn

from mmdefusion.models import MAEViT
from mmdefusion.registry import MODELS
from mmdefusion.structures import FusionDataSample
from mmdefusion.testing import TINY_TEACHER, tiny_mcud_cfg, tiny_model_cfg

MCUD_LOSSES = ['loss_mcud_consistency', 'loss_mcud_source1', 'loss_mcud_source2']


class FakeFusionHead(nn.Module):
    """Stands for any head of fused pairs."""

    def loss(self, fused, x1, x2, data_samples):
        return dict(loss_fake=(fused - torch.maximum(x1, x2)).abs().mean())


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / 'teacher.pth'
    torch.manual_seed(1)
    torch.save(MAEViT(**TINY_TEACHER).state_dict(), path)
    return path


@pytest.fixture
def model(weights):
    torch.manual_seed(0)
    model = MODELS.build(tiny_mcud_cfg(weights))
    model.init_weights()
    # As after some steps: at zero, predictions teach the tokens nothing.
    for pred in model.mcud_head.preds:
        nn.init.xavier_uniform_(pred.weight)
    return model


def samples(kind='infrared_visible', number=2):
    return [FusionDataSample(metainfo=dict(kind=kind)) for _ in range(number)]


def photo_samples(number=2):
    return [FusionDataSample(cud_masks=torch.ones(2, 32, 32)) for _ in range(number)]


def gradients(model):
    return {name for name, value in model.named_parameters() if value.grad is not None and value.grad.abs().sum()}


def test_each_kind_of_batch_goes_to_its_own_heads(model):
    photos = model(torch.rand(2, 3, 32, 32), photo_samples(), mode='loss')
    assert not set(photos) & set(MCUD_LOSSES) and 'loss_masked' in photos
    pairs = model(torch.rand(2, 6, 32, 32), samples(), mode='loss')
    assert sorted(pairs) == MCUD_LOSSES
    model.fusion_head = FakeFusionHead()
    assert sorted(model(torch.rand(2, 6, 32, 32), samples(), mode='loss')) == ['loss_fake', *MCUD_LOSSES]
    model.mcud_head.kinds = {'infrared_visible'}
    assert sorted(model(torch.rand(2, 6, 32, 32), samples('multi_focus'), mode='loss')) == ['loss_fake']
    assert sorted(model(torch.rand(2, 6, 32, 32), samples(), mode='loss')) == ['loss_fake', *MCUD_LOSSES]


def test_gradients_of_pairs_reach_encoder_decomposition_and_predictors_only(model):
    model.train()
    sum(model(torch.rand(2, 6, 32, 32), samples(), mode='loss').values()).backward()
    parts = ('patch_embed', 'blocks', 'norm', 'skip_norms', 'decomposition', 'skip_decomposition')
    prefixes = (*(f'backbone.{part}.' for part in parts), 'mcud_head.')
    assert gradients(model) == {name for name, _ in model.named_parameters() if name.startswith(prefixes)}


def test_losses_compare_with_the_teachers_of_the_sources_order(model):
    model.eval()
    pairs = torch.rand(2, 6, 32, 32)
    losses = model(pairs, samples(), mode='loss')
    sources = pairs.split(3, dim=1)
    # Patches of 4 pixels ask for 8 x 8 tokens, teachers with patches of 8 see the image enlarged.
    targets = model.teach(*sources)
    enlarged = [nn.functional.interpolate(image, size=64, mode='bilinear', antialias=True) for image in sources]
    for target, teacher, image in zip(targets, model.teachers, enlarged, strict=True):
        assert target.shape == (2, 1 + 8 * 8, 12)
        torch.testing.assert_close(target, teacher.network(image))
    tokens = model.backbone.decompose(*sources, both_orders=True)
    expected = model.mcud_head.loss(tokens, targets)
    for name in MCUD_LOSSES:
        torch.testing.assert_close(losses[name], expected[name])
    swapped = model(torch.cat(sources[::-1], dim=1), samples(), mode='loss')
    torch.testing.assert_close(losses['loss_mcud_consistency'], swapped['loss_mcud_consistency'])
    assert not torch.allclose(losses['loss_mcud_source1'], swapped['loss_mcud_source2'])  # predictors of their own


def test_sizes_that_are_no_whole_windows_or_patches(model):
    losses = model(torch.rand(1, 6, 22, 35), samples(number=1), mode='loss')
    assert all(value.isfinite() for value in losses.values())


def test_fused_images_of_pairs_are_those_of_decoding(model):
    model.eval()
    seen = []
    model.fusion_head = FakeFusionHead()
    model.fusion_head.loss = lambda fused, x1, x2, data_samples: seen.append(fused) or dict(loss_fake=x1.sum())
    pairs = torch.rand(1, 6, 32, 32)
    model(pairs, samples(number=1), mode='loss')
    torch.testing.assert_close(seen[0], model(pairs).fused)


def test_a_share_of_the_training_batches_is_restored():
    """A tenth of the bias of the restoration is added, in as many batches of the kind as asked for."""
    torch.manual_seed(0)
    seen = []
    model = MODELS.build(tiny_model_cfg(detail_dims=4) | dict(restored=dict(infrared_visible=0.25, multi_focus=1.0)))
    model.fusion_head = FakeFusionHead()
    model.fusion_head.loss = lambda fused, x1, x2, data_samples: seen.append(fused) or dict(loss_fake=x1.sum())
    model.neck.fused.detail.restoration.bias.data.fill_(1)
    pairs = torch.rand(1, 6, 32, 32)
    with torch.no_grad():
        plain = model(pairs).fused
        for kind, shares in (('infrared_visible', (0.1, 0.4)), ('multi_focus', (1, 1)), ('multi_exposure', (0, 0))):
            seen.clear()
            for _ in range(80):
                model(pairs, samples(kind, number=1), mode='loss')
            restored = [(fused - plain).abs().max().item() > 0.05 for fused in seen]
            assert shares[0] <= sum(restored) / 80 <= shares[1], kind
            for fused, added in zip(seen, restored, strict=True):
                torch.testing.assert_close(fused, plain + 0.1 * added)


@pytest.mark.parametrize(
    ('restored', 'detail_dims', 'message'),
    [
        (dict(infrared_visible=1.5), 4, "restored: found {'infrared_visible': 1.5}; expected shares from 0 to 1"),
        (dict(infrared_visible=0.5), 0, 'the decoder has no restoration'),
    ],
)
def test_shares_that_cannot_be_restored(restored, detail_dims, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(tiny_model_cfg(detail_dims=detail_dims) | dict(restored=restored))


def test_it_learns_what_teachers_say(model):
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    pairs = nn.functional.interpolate(torch.rand(2, 6, 4, 4), size=32, mode='bilinear')
    history = []
    for _ in range(40):
        losses = model(pairs, samples(), mode='loss')
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append({name: value.item() for name, value in losses.items()})
    for name in ('loss_mcud_source1', 'loss_mcud_source2'):
        assert history[-1][name] < 0.6 * history[0][name], name


def test_batches_without_a_head():
    model = MODELS.build(tiny_model_cfg())
    with pytest.raises(ValueError, match=r'\(2, 6, 32, 32\) \(kind multi_focus\) has no loss.*mcud_head.*fusion_head'):
        model(torch.rand(2, 6, 32, 32), samples('multi_focus'), mode='loss')
    model.head = None
    with pytest.raises(ValueError, match='needs a head with its target_generator'):
        model(torch.rand(2, 3, 32, 32), photo_samples(), mode='loss')


def test_a_head_without_two_teachers(weights):
    config = tiny_mcud_cfg(weights)
    with pytest.raises(ValueError, match='found 1 teachers'):
        MODELS.build({**config, 'teachers': config['teachers'][:1]})
    with pytest.raises(ValueError, match='found 2 teachers and mcud_head=None'):
        MODELS.build({**config, 'mcud_head': None})
