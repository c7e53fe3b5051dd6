# Copyright (c) mmdefusion authors. All rights reserved.
import csv
import io
import json
import math

import cv2
import numpy as np
import pytest

from mmdefusion.evaluation.folders import match_results, read_names, score_folders
from mmdefusion.evaluation.functional import FUSION_METRICS, REFERENCE_METRICS, evaluate_pair, evaluate_reference
from mmdefusion.evaluation.report import (
    better_direction,
    format_table,
    make_report,
    mean_scores,
    result_names,
    write_csv,
    write_json,
)
from mmdefusion.evaluation.scoring import FusedResult, ScoringPool, choose_metrics, score_result

METRICS = ['MI', 'SSIM', 'PSNR-GT']


def noise(seed, shape=(24, 32, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def folders(tmp_path):
    """Sources, fused images and truths of four pairs, in files of differing suffixes."""
    for index, (kind, suffix) in enumerate((('a', '.png'), ('b', '.bmp'), ('fused', '.tif'), ('truth', '.png'))):
        (tmp_path / kind).mkdir()
        for stem in range(4):
            cv2.imwrite(str(tmp_path / kind / f'{stem}{suffix}'), noise(10 * index + stem))
    return tmp_path


def test_metrics_are_chosen_by_name_with_variants():
    assert list(choose_metrics()) == [*FUSION_METRICS, *REFERENCE_METRICS]
    variants = {'PSNR-GT': {'max_db': 50.0}, 'SSIM': {'reduction': 'sum'}}
    image = noise(0)
    scores = score_result(FusedResult('x', image, image, image, image), choose_metrics(variants))
    assert scores == {'PSNR-GT': 50.0, 'SSIM': pytest.approx(2.0)}
    with pytest.raises(ValueError, match="unknown metrics.*'SSIMM'"):
        choose_metrics(['SSIMM'])
    with pytest.raises(TypeError, match="found the string 'MI'"):
        choose_metrics('MI')
    with pytest.raises(ValueError, match='found none'):
        choose_metrics([])
    with pytest.raises(ValueError, match='num_workers must be 0 or more'):
        ScoringPool(['MI'], -1)


def test_metrics_against_the_truth_need_one():
    a, b, fused, truth = (noise(seed) for seed in range(4))
    assert list(score_result(FusedResult('x', a, b, fused), choose_metrics(METRICS))) == ['MI', 'SSIM']
    scores = score_result(FusedResult('x', a, b, fused, truth), choose_metrics(METRICS))
    expected = {**evaluate_pair(a, b, fused, METRICS[:2]), **evaluate_reference(truth, fused, METRICS[2:])}
    assert scores == expected


@pytest.mark.parametrize('num_workers', [0, 1, 3])
def test_pool_gives_the_scores_of_the_functions_in_order(num_workers):
    pool = ScoringPool(METRICS[:2], num_workers)
    for _ in range(2):  # a pool can be used again
        for seed in range(14):
            pool.submit(FusedResult(f'image {seed}', noise(seed), noise(seed + 50), noise(seed + 100)))
        collected = pool.collect()
        assert [name for name, _ in collected] == [f'image {seed}' for seed in range(14)]
        for seed, (_, scores) in enumerate(collected):
            # Bit for bit.
            assert scores == evaluate_pair(noise(seed), noise(seed + 50), noise(seed + 100), METRICS[:2])
    assert pool.collect() == []


@pytest.mark.parametrize('num_workers', [0, 2])
def test_pool_reports_all_problems_at_once(num_workers):
    pool = ScoringPool(['SSIM'], num_workers)
    pool.submit(FusedResult('sizes', noise(0), noise(1), noise(2, (24, 30, 3))))
    pool.submit(FusedResult('good', noise(0), noise(1), noise(2)))
    pool.submit(FusedResult('tiny', *(noise(seed, (4, 4)) for seed in range(3))))
    with pytest.raises(ValueError) as caught:
        pool.collect()
    lines = str(caught.value).splitlines()
    assert lines[0] == '2 images cannot be scored:'
    assert lines[1].strip() == (
        'sizes: images must have one size, found (width x height) a 32 x 24, b 32 x 24, fused 30 x 24'
    )
    assert lines[2].strip().startswith('tiny: SSIM needs at least 11 pixels') and len(lines) == 3


def test_pool_stops_early_where_nothing_can_be_scored():
    pool = ScoringPool(['SSIM'], 0)
    with pytest.raises(ValueError, match='20 or more images cannot be scored'):
        for index in range(1000):
            pool.submit(FusedResult(str(index), *(noise(0, (4, 4)) for _ in range(3))))
    assert index == 19


def test_means_do_not_depend_on_order_or_on_absent_values():
    values = [0.1, 1e16, 0.3, -1e16]
    images = {str(index): {'MI': value} for index, value in enumerate(values)}
    images['1']['PSNR-GT'] = 30.0
    images['3']['PSNR-GT'] = 40.0
    mean = mean_scores(images)
    assert mean == {'MI': math.fsum(values) / 4, 'PSNR-GT': 35.0}
    assert mean == mean_scores(dict(reversed(images.items())))


def test_report_files(tmp_path):
    metrics = choose_metrics({'MI': {}, 'Nabf': {'style': 'petrovic'}, 'GMSD': {}})
    images = {'b': {'MI': 1.5, 'Nabf': 0.25}, 'ä,"1"': {'MI': 2.5, 'Nabf': 0.75, 'GMSD': 0.125}}
    report = make_report(images, metrics)
    write_json(tmp_path / 'new' / 'scores.json', report)
    loaded = json.loads((tmp_path / 'new' / 'scores.json').read_text(encoding='utf-8'))
    assert loaded == report and list(loaded) == ['mean', 'images', 'protocol']
    assert loaded['mean'] == {'MI': 2.0, 'Nabf': 0.5, 'GMSD': 0.125}
    assert loaded['protocol']['metrics'] == {'MI': {}, 'Nabf': {'style': 'petrovic'}, 'GMSD': {}}
    assert loaded['protocol']['lower_is_better'] == ['Nabf', 'GMSD'] and loaded['protocol']['num_images'] == 2
    write_csv(tmp_path / 'scores.csv', report)
    rows = list(csv.reader(io.StringIO((tmp_path / 'scores.csv').read_text(encoding='utf-8'))))
    assert rows == [['image', 'MI', 'Nabf', 'GMSD'], ['b', '1.5', '0.25', ''], ['ä,"1"', '2.5', '0.75', '0.125']]
    with pytest.raises(ValueError):
        write_json(tmp_path / 'nan.json', make_report({'x': {'MI': math.nan}}, metrics))
    assert sorted(path.name for path in tmp_path.iterdir()) == ['new', 'scores.csv']


def test_table_names_the_worst_image():
    images = {'x': {'EN': 1.0, 'MI': 3.0, 'Nabf': 0.1}, 'y': {'EN': 2.0, 'MI': 1.0, 'Nabf': 0.3}}
    lines = format_table(make_report(images, choose_metrics(['EN', 'MI', 'Nabf']))).splitlines()
    assert [line.split() for line in lines] == [
        ['metric', 'mean', 'min', 'max', 'worst', 'image'],
        ['EN', '1.5000', '1.0000', '2.0000'],
        ['MI', '↑', '2.0000', '1.0000', '3.0000', 'y'],
        ['Nabf', '↓', '0.2000', '0.1000', '0.3000', 'y'],
        ['2', 'images'],
    ]
    with pytest.raises(ValueError, match="unknown metric 'XY'"):
        better_direction('XY')


def test_result_names():
    paths = ['/d/mri/1.png', '/d/mri/2.png', '/d/pet/1.png', '/e/pet/1.png']
    assert result_names([dict(img_path=path) for path in paths]) == ['mri/1', '2', 'd/pet/1', 'e/pet/1']
    assert result_names([dict(name='scene', img_path='/d/scene/a.png')]) == ['scene']
    with pytest.raises(ValueError, match="one name: .*'x/1'"):
        result_names([dict(img_path='x/1.png'), dict(img_path='x/1.jpg')])


def test_folders_are_matched_by_stem(folders):
    report = score_folders(folders / 'a', folders / 'b', folders / 'fused', folders / 'truth', None, METRICS, 2)
    assert list(report['images']) == ['0', '1', '2', '3']
    for stem, scores in report['images'].items():
        a, b, fused, truth = (noise(10 * index + int(stem)) for index in range(4))
        assert scores == score_result(FusedResult(stem, a, b, fused, truth), choose_metrics(METRICS))
    part = score_folders(
        folders / 'a', folders / 'b', folders / 'fused', names=['2.jpg', '1'], metrics=['MI'], num_workers=0
    )
    assert {name: scores['MI'] for name, scores in part['images'].items()} == {
        name: report['images'][name]['MI'] for name in ('2', '1')
    }
    # An image may be scored against itself.
    own = score_folders(folders / 'a', folders / 'b', folders / 'a', metrics=['PSNR', 'CC'], num_workers=0)
    assert own['mean']['CC'] == pytest.approx(0.5, abs=0.05)


def test_incomplete_folders_are_one_error(folders):
    (folders / 'fused' / '1.tif').unlink()
    (folders / 'b' / '3.bmp').unlink()
    cv2.imwrite(str(folders / 'fused' / '7.png'), noise(0))
    cv2.imwrite(str(folders / 'a' / '2.jpg'), noise(0))
    with pytest.raises(ValueError) as caught:
        match_results(folders / 'a', folders / 'b', folders / 'fused')
    message = str(caught.value)
    for line in (
        f'{folders}/fused/1.*: no such image',
        f'{folders}/b/3.*: no such image',
        f'{folders}/a/7.*: no such image',
        f'{folders}/a/2.*: 2 images (2.jpg, 2.png)',
        'a list of names scores a part',
    ):
        assert line in message
    with pytest.raises(ValueError, match='nowhere: not a folder'):
        match_results(folders / 'a', folders / 'b', folders / 'nowhere')
    for kind in ('e1', 'e2', 'e3'):
        (folders / kind).mkdir()
    with pytest.raises(ValueError, match='e3: no image to score'):
        match_results(*(folders / kind for kind in ('e1', 'e2', 'e3')))


def test_broken_files_and_sizes_are_listed(folders):
    (folders / 'a' / '0.png').write_bytes(b'')
    cv2.imwrite(str(folders / 'fused' / '2.tif'), noise(0, (20, 20, 3)))
    with pytest.raises(ValueError) as caught:
        score_folders(folders / 'a', folders / 'b', folders / 'fused', metrics=['MI'], num_workers=2)
    message = str(caught.value)
    assert message.startswith('2 images cannot be scored:')
    assert f'0: {folders}/a/0.png: the file is empty' in message
    assert '2: images must have one size, found (width x height) a 32 x 24, b 32 x 24, fused 20 x 20' in message


def test_lists_of_names(tmp_path):
    path = tmp_path / 'names.txt'
    path.write_text('one.png\n\n  two  \n')
    assert read_names(path) == ['one.png', 'two']
    path.write_text('\n')
    with pytest.raises(ValueError, match='holds no name'):
        read_names(path)
    with pytest.raises(ValueError, match='none.txt: cannot be opened'):
        read_names(tmp_path / 'none.txt')
