# Copyright (c) mmdefusion authors. All rights reserved.
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmdefusion.evaluation.functional import evaluate_pair, to_luma
from mmdefusion.models.classical import CLASSICAL_METHODS, fuse_average, fuse_laplacian, fuse_maximum, fuse_poisson
from mmdefusion.models.classical.poisson import forward_gradient, solve_screened_poisson
from mmdefusion.registry import MODELS
from mmdefusion.structures import FusionDataSample

BENCH = Path(__file__).resolve().parents[3] / 'shared' / 'bench'


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_average_and_maximum_by_hand():
    a = np.array([[0, 255, 3, 200]], np.uint8)
    b = np.array([[1, 255, 4, 101]], np.uint8)
    # 0.5 and 3.5 and 150.5: halves to even.
    assert fuse_average(a, b).tolist() == [[0, 255, 4, 150]]
    assert fuse_maximum(a, b).tolist() == [[1, 255, 4, 200]]


@pytest.mark.parametrize('method', CLASSICAL_METHODS)
@pytest.mark.parametrize('shape', [(1, 1), (1, 7), (3, 2), (37, 50)])
def test_equal_sources_come_back(method, shape):
    image = noise(*shape)
    fused = CLASSICAL_METHODS[method](image, image)
    assert fused.dtype == np.uint8
    # Mertens forms weighted sums in float32 at several scales.
    np.testing.assert_allclose(fused.astype(int), image, atol=1 if method == 'mertens' else 0)


@pytest.mark.parametrize('method', CLASSICAL_METHODS)
def test_constant_sources(method):
    low, high = np.full((48, 40), 50, np.uint8), np.full((48, 40), 150, np.uint8)
    fused = CLASSICAL_METHODS[method](low, high)
    # Poisson: no gradient anywhere, so halfway between average and maximum. Mertens: no contrast, so equal weights.
    expected = dict(average=100, laplacian=100, maximum=150, mertens=100, poisson=125)[method]
    np.testing.assert_allclose(fused.astype(int), expected, atol=1)


def test_laplacian_takes_the_stronger_detail():
    flat = np.full((64, 64), 128, np.uint8)
    detailed = np.full((64, 64), 128, np.uint8)
    detailed[::2] += 40
    detailed[1::2] -= 40
    # All detail comes from one source, and the bases agree.
    np.testing.assert_allclose(fuse_laplacian(flat, detailed).astype(int), detailed, atol=1)
    np.testing.assert_array_equal(fuse_laplacian(flat, detailed), fuse_laplacian(detailed, flat))


def test_poisson_solves_its_normal_equations():
    rng = np.random.default_rng(0)
    height, width, screening = 4, 5, 0.003
    gradient = rng.normal(size=(height, width)), rng.normal(size=(height, width))
    gradient[0][:, -1] = 0
    gradient[1][-1] = 0
    target = rng.normal(size=(height, width))
    # The same minimum by least squares over explicit difference matrices.
    unit = np.eye(height * width).reshape(-1, height, width)
    along_x, along_y = (
        np.stack([forward_gradient(image)[axis].ravel() for image in unit], axis=1) for axis in range(2)
    )
    matrix = np.concatenate([along_x, along_y, np.sqrt(screening) * np.eye(height * width)])
    wanted = np.concatenate([gradient[0].ravel(), gradient[1].ravel(), np.sqrt(screening) * target.ravel()])
    expected = np.linalg.lstsq(matrix, wanted, rcond=None)[0].reshape(height, width)
    np.testing.assert_allclose(solve_screened_poisson(*gradient, target, screening), expected, atol=1e-9)


def test_poisson_copies_the_stronger_gradients():
    ramp = np.tile(np.linspace(60, 180, 61).astype(np.uint8), (40, 1))
    flat = np.full_like(ramp, 120)
    fused = fuse_poisson(flat, ramp).astype(int)
    steps = np.diff(fused, axis=1)
    # The ramp rises by 2 a pixel; the pull towards m changes slopes slowly.
    assert abs(steps[:, 5:-5].mean() - 2) < 0.6 and steps.min() >= 0


@pytest.mark.parametrize('method', CLASSICAL_METHODS)
def test_unusable_sources(method):
    fuse = CLASSICAL_METHODS[method]
    with pytest.raises(TypeError, match='expected two uint8 lumas, found float64 and uint8'):
        fuse(np.zeros((4, 4)), np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match=r'found \(4, 4\) and \(4, 5\)'):
        fuse(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8))


@pytest.mark.skipif(not BENCH.exists(), reason='the benchmark is not here')
@pytest.mark.parametrize('method', ['average', 'laplacian'])
@pytest.mark.parametrize('sources', ['roadscene/{}/FLIR_04269.jpg', 'lytro/{}/lytro_05.png'])
def test_published_fused_images_pixel_by_pixel(sources, method):
    folders = ('ir', 'vi') if 'roadscene' in sources else ('a', 'b')
    a, b = (to_luma(cv2.imread(str(BENCH.parent / 'data' / sources.format(folder)))) for folder in folders)
    published = cv2.imread(str(BENCH / 'golden' / f'{Path(sources).stem}_{method}.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(CLASSICAL_METHODS[method](a, b), published)


@pytest.mark.skipif(not BENCH.exists(), reason='the benchmark is not here')
def test_published_means_of_lytro():
    published = json.loads((BENCH / 'scores_dev.json').read_text())['lytro20']
    metrics = ['EN', 'SD', 'SF', 'PSNR']
    values = {method: [] for method in CLASSICAL_METHODS}
    for path in sorted((BENCH.parent / 'data/lytro/a').iterdir()):
        a, b = (to_luma(cv2.imread(str(file))) for file in (path, path.parents[1] / 'b' / path.name))
        for method, fuse in CLASSICAL_METHODS.items():
            values[method].append(list(evaluate_pair(a, b, fuse(a, b), metrics).values()))
    for method, rows in values.items():
        expected = [published[method][metric] for metric in metrics]
        assert np.mean(rows, axis=0) == pytest.approx(expected, rel=2e-5), method


@pytest.mark.parametrize('method', CLASSICAL_METHODS)
def test_model_fuses_the_lumas(method):
    model = MODELS.build(dict(type='mmdefusion.ClassicalFusion', method=method))
    a, b = noise(2, 24, 30, 3, seed=1), noise(2, 24, 30, 3, seed=2)
    inputs = [
        torch.from_numpy(np.concatenate(pair, axis=2).transpose(2, 0, 1).copy()) for pair in zip(a, b, strict=True)
    ]
    samples = model.test_step(dict(inputs=inputs, data_samples=[FusionDataSample(), FusionDataSample()]))
    for sample, source_a, source_b in zip(samples, a, b, strict=True):
        expected = CLASSICAL_METHODS[method](to_luma(source_a), to_luma(source_b))
        assert sample.pred_fused.shape == (3, 24, 30) and sample.pred_fused.dtype == torch.float32
        for channel in sample.pred_fused.mul(255).numpy():
            np.testing.assert_allclose(channel, expected, atol=1e-4)
    batch = model.data_preprocessor(dict(inputs=inputs))['inputs']
    assert torch.equal(model(batch), torch.stack([sample.pred_fused for sample in samples]))


def test_model_cannot_be_trained_and_knows_its_methods():
    with pytest.raises(ValueError, match="'average', 'laplacian', 'maximum', 'mertens', 'poisson'.*found 'wavelet'"):
        MODELS.build(dict(type='mmdefusion.ClassicalFusion', method='wavelet'))
    model = MODELS.build(dict(type='mmdefusion.ClassicalFusion', method='maximum'))
    assert not list(model.parameters())
    with pytest.raises(ValueError, match='maximum fusion cannot be trained'):
        model(torch.zeros(1, 6, 8, 8), mode='loss')
    with pytest.raises(ValueError, match=r'expected pairs of shape \(N, 6, H, W\), got \(1, 3, 8, 8\)'):
        model(torch.zeros(1, 3, 8, 8))
