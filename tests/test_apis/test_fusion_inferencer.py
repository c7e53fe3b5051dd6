# Copyright (c) mmdefusion authors. All rights reserved.
import hashlib
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from mmdefusion.apis import FusionInferencer
from mmdefusion.apis.color import bgr_to_chroma, bgr_to_luma, chroma_at_luma, compose_bgr, mix_chroma
from mmdefusion.utils.image_io import ImageReadError, quantize, write_image

ROOT = Path(__file__).resolve().parents[2]
BF16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()


@pytest.fixture
def fuse(config, checkpoint):
    return FusionInferencer(config, checkpoint, device='cpu', precision='float32', show_progress=False)


def make(color, checkpoint, **options):
    return FusionInferencer(None, checkpoint, device='cpu', color=color, show_progress=False, **options)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def visible(rng):
    # Away from the ends, so that no result is clipped.
    return rng.integers(90, 166, (7, 10, 3), dtype=np.uint8)


@pytest.fixture
def infrared(rng):
    return rng.integers(90, 166, (7, 10), dtype=np.uint8)


@pytest.fixture
def folders(tmp_path, rng):
    for name, shape in (('a', (8, 9)), ('b', (8, 9)), ('c', (5, 6)), ('d', (8, 9))):
        write_image(tmp_path / 'vi' / f'{name}.png', rng.integers(0, 256, (*shape, 3), dtype=np.uint8))
        write_image(tmp_path / 'ir' / f'{name}.png', rng.integers(0, 256, shape, dtype=np.uint8))
    return str(tmp_path / 'vi'), str(tmp_path / 'ir')


def test_gray_by_hand(checkpoint):
    image1, image2 = np.full((2, 3), 200, np.uint8), np.full((2, 3), 100, np.uint8)
    fused = make('gray', checkpoint)((image1, image2))['predictions'][0]
    np.testing.assert_array_equal(fused, np.full((2, 3), 175))
    assert fused.dtype == np.uint8


def test_rgb_fuses_each_channel(checkpoint, visible):
    other = visible[::-1]
    fused = make('rgb', checkpoint, precision='float32')((visible, other))['predictions'][0]
    np.testing.assert_allclose(fused, 0.75 * visible + 0.25 * other, atol=0.501)


def test_ycbcr_keeps_the_visible_colours(fuse, visible, infrared):
    sample = fuse((visible, infrared), return_datasamples=True)['predictions'][0]
    fused = sample.pred_fused.numpy().transpose(1, 2, 0)[..., ::-1] * 255
    np.testing.assert_allclose(bgr_to_luma(fused), 0.75 * bgr_to_luma(visible) + 0.25 * infrared, atol=1e-3)
    np.testing.assert_allclose(bgr_to_chroma(fused), bgr_to_chroma(visible), atol=1e-3)
    np.testing.assert_array_equal(fuse((visible, infrared))['predictions'][0], quantize(fused, 8))


def test_two_sources_with_colours_give_theirs_at_the_fused_luma(fuse, visible):
    darker = visible // 2
    sample = fuse((visible, darker), return_datasamples=True)['predictions'][0]
    fused = sample.pred_fused.numpy().transpose(1, 2, 0)[..., ::-1] * 255
    luma = 0.75 * bgr_to_luma(visible) + 0.25 * bgr_to_luma(darker)
    chroma = chroma_at_luma(visible, darker, luma)
    assert np.abs(chroma - mix_chroma(bgr_to_chroma(visible), bgr_to_chroma(darker))).max() > 1
    np.testing.assert_allclose(fused, np.clip(compose_bgr(luma, chroma), 0, 255), atol=0.01)


def test_fusing_an_image_with_itself_gives_it_back(fuse, visible):
    np.testing.assert_array_equal(fuse((visible, visible))['predictions'][0], visible)


def test_two_gray_sources_stay_gray(fuse, infrared):
    fused = fuse((infrared, infrared[::-1]))['predictions'][0]
    assert (fused == fused[..., :1]).all()


@pytest.mark.parametrize('color, channels', [('ycbcr', 3), ('rgb', 3), ('gray', None)])
def test_16_bits_in_16_bits_out(tmp_path, checkpoint, color, channels, rng):
    deep = rng.integers(20000, 40000, (6, 5), dtype=np.uint16)
    write_image(tmp_path / 'ir.png', deep)
    flat = np.full((6, 5), 128, np.uint8)
    write_image(tmp_path / 'vi.png', flat)
    pair = (str(tmp_path / 'vi.png'), str(tmp_path / 'ir.png'))
    make(color, checkpoint)(pair, out_dir=tmp_path / 'out')
    fused = cv2.imread(str(tmp_path / 'out' / 'vi.png'), cv2.IMREAD_UNCHANGED)
    assert fused.dtype == np.uint16 and fused.shape == ((6, 5) if channels is None else (6, 5, 3))
    gray = fused if channels is None else fused[..., 1]
    # Within 2 of 65535: nothing went through 8 bits, nor through bfloat16.
    np.testing.assert_allclose(gray.astype(float), 0.75 * 128 * 257 + 0.25 * deep, atol=2)


def test_list_and_folders_give_the_same_in_order(fuse, folders):
    pairs = [(f'{folders[0]}/{name}.png', f'{folders[1]}/{name}.png') for name in 'abcd']
    one_by_one = [fuse(pair)['predictions'][0] for pair in pairs]
    assert [image.shape for image in one_by_one] == [(8, 9, 3), (8, 9, 3), (5, 6, 3), (8, 9, 3)]
    for inputs in (pairs, folders):
        for image, expected in zip(fuse(inputs)['predictions'], one_by_one, strict=True):
            np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(
    'batch_size, batches',
    [(1, [1, 1, 1, 1]), (2, [2, 1, 1]), (8, [2, 1, 1])],
)
def test_only_neighbours_of_one_size_share_a_batch(fuse, folders, batch_size, batches):
    expected = fuse(folders)['predictions']
    fuse.model.batches.clear()
    results = fuse(folders, batch_size=batch_size)['predictions']
    assert [shape[0] for shape in fuse.model.batches] == batches
    for image, reference in zip(results, expected, strict=True):
        np.testing.assert_array_equal(image, reference)


def test_written_files(fuse, folders, tmp_path):
    out = tmp_path / 'out'
    results = fuse(folders, out_dir=out, parts=True)
    kinds = ('common', 'fused', 'panel', 'unique1', 'unique2')
    assert sorted(os.listdir(out)) == ['a.png', 'b.png', 'c.png', 'common', 'd.png', 'panel', 'unique1', 'unique2']
    for kind in kinds[:1] + kinds[2:]:
        assert sorted(os.listdir(out / kind)) == ['a.png', 'b.png', 'c.png', 'd.png']
    for name, image, panel in zip('abcd', results['predictions'], results['visualization'], strict=True):
        np.testing.assert_array_equal(cv2.imread(str(out / f'{name}.png')), image)
        np.testing.assert_array_equal(cv2.imread(str(out / 'panel' / f'{name}.png')), panel)
    luma1, luma2 = (bgr_to_luma(cv2.imread(f'{folder}/a.png')) for folder in folders)
    common = cv2.imread(str(out / 'common' / 'a.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(common, np.minimum(luma1, luma2), atol=0.51)
    unique2 = cv2.imread(str(out / 'unique2' / 'a.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(unique2, np.maximum(luma2 - luma1, 0), atol=0.51)


def test_without_parts_only_the_fused_image(fuse, folders, tmp_path):
    results = fuse(folders, out_dir=tmp_path / 'out')
    assert sorted(os.listdir(tmp_path / 'out')) == ['a.png', 'b.png', 'c.png', 'd.png']
    assert results['visualization'] == []


def test_data_samples_say_where_they_come_from(fuse, folders):
    sample = fuse(folders, return_datasamples=True)['predictions'][2]
    assert sample.img_path == f'{folders[0]}/c.png' and sample.partner_path == f'{folders[1]}/c.png'
    assert sample.ori_shape == sample.img_shape == (5, 6)
    assert sample.pred_fused.shape == sample.pred_common.shape == (3, 5, 6)


def test_gray_data_sample_has_one_channel(checkpoint, visible, infrared):
    results = make('gray', checkpoint)((visible, infrared), return_datasamples=True, parts=True)
    assert results['predictions'][0].pred_fused.shape == (1, 7, 10)


def digest(folder):
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in os.listdir(folder)}


def test_runs_are_equal_bit_for_bit(config, checkpoint, folders, tmp_path):
    for run in ('1', '2'):
        FusionInferencer(config, checkpoint, device='cpu', show_progress=False)(folders, out_dir=tmp_path / run)
    assert digest(tmp_path / '1') == digest(tmp_path / '2')


def test_config_can_come_from_file_dict_or_checkpoint(config, checkpoint, tmp_path, visible, infrared):
    config.dump(tmp_path / 'config.py')
    expected = FusionInferencer(config, checkpoint, 'cpu', show_progress=False)((visible, infrared))['predictions'][0]
    for model, weights in (
        (str(tmp_path / 'config.py'), checkpoint),
        (config.to_dict(), checkpoint),
        (None, checkpoint),
        (checkpoint, None),
    ):
        fuse = FusionInferencer(model, weights, 'cpu', show_progress=False)
        np.testing.assert_array_equal(fuse((visible, infrared))['predictions'][0], expected)


def test_given_config_is_not_changed(config, checkpoint):
    before = Config(config.to_dict()).pretty_text
    FusionInferencer(config, checkpoint, 'cpu')
    assert Config(config.to_dict()).pretty_text == before


def test_no_weights_is_an_error_and_says_what_to_do(config):
    with pytest.raises(ValueError, match="no weights were given for the model: the package brings 'fusion'"):
        FusionInferencer(config)


def test_weights_that_do_not_fit(config, tmp_path):
    torch.save(dict(state_dict=dict(weight=torch.tensor(1.0))), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'1 of the 2 weights match, 1 are missing \(offset\)'):
        FusionInferencer(config, str(tmp_path / 'a.pth'))


def test_unknown_model_is_named(checkpoint):
    with pytest.raises(ValueError, match='configs/nowhere.py: no such config file'):
        FusionInferencer('configs/nowhere.py', checkpoint)


def test_config_without_a_model(checkpoint):
    with pytest.raises(ValueError, match=r'no entry "model"; found \[\'a\'\]'):
        FusionInferencer(dict(a=1), checkpoint)


@pytest.mark.parametrize('option', [dict(color='lab'), dict(precision='half')])
def test_unknown_options(config, checkpoint, option):
    with pytest.raises(ValueError, match=f'{next(iter(option))} must be one of'):
        FusionInferencer(config, checkpoint, **option)


def test_bad_pair_raises(fuse, folders):
    write_image(f'{folders[1]}/b.png', np.zeros((8, 8), np.uint8))
    with pytest.raises(ImageReadError, match=r'ir/b.png: 8 x 8 pixels .* vi/b.png, 9 x 8'.replace(' vi', '.*vi')):
        fuse(folders)


def test_file_without_partner_raises_before_anything_is_written(fuse, folders, tmp_path):
    os.remove(f'{folders[1]}/d.png')
    with pytest.raises(ImageReadError, match=r'ir/d.\*: no such image'):
        fuse(folders, out_dir=tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_sources_are_never_overwritten(fuse, folders, tmp_path):
    before = digest(tmp_path / 'vi')
    with pytest.raises(ValueError, match='vi/a.png: would overwrite a source'):
        fuse(folders, out_dir=folders[0])
    os.symlink(folders[0], tmp_path / 'link')
    with pytest.raises(ValueError, match='link/a.png: would overwrite a source'):
        fuse(folders, out_dir=tmp_path / 'link')
    (tmp_path / 'run').mkdir()
    os.rename(folders[0], tmp_path / 'run' / 'common')
    with pytest.raises(ValueError, match='common/a.png: would overwrite a source'):
        fuse((str(tmp_path / 'run' / 'common'), folders[1]), out_dir=tmp_path / 'run', parts=True)
    assert digest(tmp_path / 'run' / 'common') == before


def test_two_pairs_of_one_name(fuse, folders, tmp_path):
    pairs = [(f'{folders[0]}/a.png', f'{folders[1]}/a.png'), (f'{folders[1]}/a.png', f'{folders[0]}/a.png')]
    assert len(fuse(pairs)['predictions']) == 2
    with pytest.raises(ValueError, match="two pairs are named 'a'"):
        fuse(pairs, out_dir=tmp_path / 'out')


def test_a_network_that_gives_nan_is_reported(fuse, visible, infrared):
    fuse.model.weight.data.fill_(float('nan'))
    with pytest.raises(RuntimeError, match='00000: the network gave NaN'):
        fuse((visible, infrared))


@pytest.mark.parametrize(
    'precision, depth, expected',
    [('float32', 8, False), ('bfloat16', 8, True), ('auto', 8, BF16), ('auto', 16, False), ('bfloat16', 16, True)],
)
def test_precision(config, checkpoint, infrared, precision, depth, expected):
    fuse = FusionInferencer(config, checkpoint, 'cpu', precision=precision, show_progress=False)
    fuse((infrared, infrared if depth == 8 else infrared.astype(np.uint16)))
    assert fuse.model.autocast == [expected]


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_the_real_network(tmp_path, visible, infrared, precision):
    config = Config.fromfile(ROOT / 'configs' / '_base_' / 'models' / 'defusion-pp_nano.py')
    torch.manual_seed(0)
    with MODELS.switch_scope_and_registry('mmdefusion') as registry:
        torch.save(registry.build(config.model).state_dict(), tmp_path / 'nano.pth')
    fuse = FusionInferencer(config, str(tmp_path / 'nano.pth'), 'cpu', precision=precision, show_progress=False)
    large = np.tile(visible, (9, 7, 1)), np.tile(infrared, (9, 7))
    first = fuse([large, (visible, infrared)], parts=True)
    assert [image.shape for image in first['predictions']] == [(63, 70, 3), (7, 10, 3)]
    again = fuse([large, (visible, infrared)])
    for image, repeated in zip(first['predictions'], again['predictions'], strict=True):
        np.testing.assert_array_equal(image, repeated)
    # Rounding of a batch may differ in the last bits.
    batch = fuse([large, large], batch_size=2)['predictions']
    for image in batch:
        np.testing.assert_allclose(image, first['predictions'][0], atol=1 if precision == 'float32' else 4)
