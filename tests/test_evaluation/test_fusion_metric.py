# Copyright (c) mmdefusion authors. All rights reserved.
import json
import pickle

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp

from mmdefusion.evaluation.functional import evaluate_pair, evaluate_reference, to_luma
from mmdefusion.evaluation.metrics import DumpFusedResults, FusionMetric

NAMES = ['MI', 'SSIM', 'EN', 'PSNR-GT']


def make_item(index, size=(24, 32)):
    """Sources and fused image as they reach a metric, and their 8-bit BGR forms."""
    rng = np.random.default_rng(index)
    a, b, fused, truth = rng.integers(0, 256, (4, *size, 3), dtype=np.uint8)
    inputs = torch.from_numpy(np.concatenate([a, b], axis=2).transpose(2, 0, 1).copy())
    sample = dict(img_path=f'/data/vi/{index}.png', pred_fused=to_tensor(fused))
    if index % 2:
        sample['gt_fused'] = to_tensor(truth)
    return inputs, sample, (a, b, fused, truth)


def to_tensor(bgr):
    return torch.from_numpy(bgr[..., ::-1].transpose(2, 0, 1).copy()).float() / 255


def expected_scores(index):
    a, b, fused, truth = make_item(index)[2]
    scores = evaluate_pair(a, b, fused, NAMES[:3])
    return {**scores, **evaluate_reference(truth, fused, NAMES[3:])} if index % 2 else scores


def fill(metric, indices):
    for index in indices:
        inputs, sample, _ = make_item(index)
        metric.process(dict(inputs=[inputs]), [sample])


@pytest.mark.parametrize('num_workers', [0, 2])
def test_scores_of_a_data_set(tmp_path, num_workers):
    metric = FusionMetric(NAMES, num_workers, outfile_prefix=str(tmp_path / 'run' / 'scores'), prefix='fusion')
    fill(metric, range(5))
    means = metric.evaluate(5)
    expected = {str(index): expected_scores(index) for index in range(5)}
    for name in NAMES:
        column = [scores[name] for scores in expected.values() if name in scores]
        assert means[f'fusion/{name}'] == pytest.approx(np.mean(column), rel=1e-12)
    report = json.loads((tmp_path / 'run' / 'scores.json').read_text())
    assert report['images'] == expected
    assert {f'fusion/{name}': value for name, value in report['mean'].items()} == means
    lines = (tmp_path / 'run' / 'scores.csv').read_text().splitlines()
    assert lines[0] == 'image,MI,SSIM,EN,PSNR-GT' and len(lines) == 6 and lines[1].endswith(',')
    # The next epoch starts from nothing.
    fill(metric, [1])
    assert metric.evaluate(1)['fusion/MI'] == expected['1']['MI']


def test_fused_image_is_scored_as_its_8_bit_file():
    inputs, sample, (a, b, _, _) = make_item(0)
    sample['pred_fused'] = torch.linspace(-0.2, 1.2, 24 * 32).reshape(1, 24, 32).repeat(3, 1, 1)
    metric = FusionMetric(['SD', 'MI'], 0)
    metric.process(dict(inputs=inputs[None].float()), [sample])
    values = np.clip(np.linspace(-0.2, 1.2, 24 * 32) * 255, 0, 255).reshape(24, 32)
    # Clipped, not stretched.
    assert metric.evaluate(1) == pytest.approx(
        evaluate_pair(a, b, np.rint(values).astype(np.uint8), ['SD', 'MI']), rel=1e-6
    )


def test_gray_predictions():
    inputs, sample, (a, b, fused, _) = make_item(0)
    luma = to_luma(fused)
    sample['pred_fused'] = torch.from_numpy(luma)[None] / 255
    metric = FusionMetric(['MI'], 0)
    metric.process(dict(inputs=[inputs]), [sample])
    assert metric.evaluate(1) == evaluate_pair(a, b, luma, ['MI'])


def test_what_is_no_pair_is_an_error():
    inputs, sample, _ = make_item(0)
    metric = FusionMetric(['MI'], 0)
    for wrong in (inputs[:3], inputs[:, :20]):
        with pytest.raises(ValueError, match=r'/data/vi/0.png: expected a pair of shape \(6, H, W\)'):
            metric.process(dict(inputs=[wrong]), [sample])


def evaluate_rank(rank, world, folder):
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=world)
    metric = FusionMetric(NAMES, 1, outfile_prefix=f'{folder}/scores', collect_dir=f'{folder}/collect')
    # As DistributedSampler does: the fifth image is repeated to give every rank three.
    fill(metric, [(rank + world * step) % 5 for step in range(3)])
    torch.save(metric.evaluate(5), f'{folder}/{rank}.pth')
    torch.distributed.destroy_process_group()


def test_two_ranks_give_the_scores_of_one(tmp_path):
    # Forked: a spawned process looks for this module by name, and other packages install a 'tests' too.
    mp.start_processes(evaluate_rank, args=(2, str(tmp_path)), nprocs=2, start_method='fork')
    metric = FusionMetric(NAMES, 0)
    fill(metric, range(5))
    alone = metric.evaluate(5)
    for rank in range(2):
        assert torch.load(tmp_path / f'{rank}.pth') == alone
    assert list(json.loads((tmp_path / 'scores.json').read_text())['images']) == ['0', '1', '2', '3', '4']


def test_dumped_images(tmp_path):
    path = tmp_path / 'new' / 'fused.pkl'
    metric = DumpFusedResults(str(path))
    fill(metric, [0, 1])
    assert metric.evaluate(2) == {}
    dumped = pickle.loads(path.read_bytes())
    assert [item['img_path'] for item in dumped] == ['/data/vi/0.png', '/data/vi/1.png']
    for index, item in enumerate(dumped):
        fused = make_item(index)[2][2]
        np.testing.assert_array_equal(item['pred_fused'].numpy(), fused[..., ::-1].transpose(2, 0, 1))
    with pytest.raises(ValueError, match='pkl'):
        DumpFusedResults('fused.json')
