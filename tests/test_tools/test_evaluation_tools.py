# Copyright (c) mmdefusion authors. All rights reserved.
import json
import pickle
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdefusion.evaluation.functional import evaluate_pair, to_luma
from mmdefusion.models.classical import CLASSICAL_METHODS

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
EVALUATE, COMPARE = TOOLS / 'analysis_tools/eval_fused_dir.py', TOOLS / 'analysis_tools/compare_methods.py'

CONFIG = """
_base_ = ['{root}/configs/_base_/models/classical.py', '{root}/configs/_base_/default_runtime.py']
test_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PairedImageDataset', data_root='{data}', data_prefix=dict(img_path='a', partner_path='b'),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadPairedImage'), dict(type='PackFusionInputs')],
        test_mode=True))
test_evaluator = dict(type='FusionMetric', metrics=['MI', 'Qabf', 'SSIM'])
test_cfg = dict(type='TestLoop')
"""


@pytest.fixture
def pairs(tmp_path):
    """Four colour pairs of two sizes, and their fusion by two methods."""
    rng = np.random.default_rng(0)
    folder = tmp_path / 'pairs'
    for kind in ('a', 'b', 'mertens', 'inverse'):
        (folder / kind).mkdir(parents=True)
    for index, size in enumerate(((48, 64), (48, 64), (50, 61), (50, 61))):
        coarse = rng.integers(0, 256, (2, 7, 8, 3), dtype=np.uint8)
        a, b = (cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC) for image in coarse)
        fused = CLASSICAL_METHODS['mertens'](to_luma(a), to_luma(b))
        for kind, image in dict(a=a, b=b, mertens=fused, inverse=255 - fused).items():
            cv2.imwrite(str(folder / kind / f'{index}.png'), image)
    return folder


@pytest.fixture
def call_tool(monkeypatch, capsys):
    """Runs a tool in this process, which spares it the imports: exit code, output, errors."""

    def call(tool, *arguments):
        monkeypatch.setattr(sys, 'argv', [str(tool), *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            runpy.run_path(str(tool), run_name='__main__')
        except SystemExit as error:
            # A message as code is what the interpreter prints.
            code, message = (error.code, '') if isinstance(error.code, int) else (1, str(error.code))
            return code, '', capsys.readouterr().err + message
        return code, *capsys.readouterr()

    return call


def read(path):
    return cv2.imread(str(path))


def expected_scores(pairs, fused, metrics):
    return {
        str(index): evaluate_pair(
            *(read(folder / f'{index}.png') for folder in (pairs / 'a', pairs / 'b', fused)), metrics
        )
        for index in range(4)
    }


def test_test_writes_scores_images_and_panels(pairs, run_tool, tmp_path):
    config = tmp_path / 'classical.py'
    config.write_text(CONFIG.format(root=TOOLS.parent, data=pairs))
    out = tmp_path / 'out'
    result = run_tool(
        *('python', TOOLS / 'test.py', config, '--work-dir', out, '--out-dir', out / 'fused', '--show-dir', 'panels'),
        *('--out', out / 'fused.pkl', '--cfg-options', 'model.method=poisson'),
    )
    assert result.returncode == 0, result.stderr
    report = json.loads((out / 'scores.json').read_text())
    assert list(report) == ['mean', 'images', 'protocol']
    assert report['images'] == expected_scores(pairs, out / 'fused', ['MI', 'Qabf', 'SSIM'])
    lines = (out / 'scores.csv').read_text().splitlines()
    assert lines[0] == 'image,MI,Qabf,SSIM' and len(lines) == 5
    assert f'{report["mean"]["Qabf"]:.4f}' in result.stdout and 'Qabf ↑' in result.stdout
    dumped = pickle.loads((out / 'fused.pkl').read_bytes())
    for index in range(4):
        a, b = (to_luma(read(pairs / kind / f'{index}.png')) for kind in 'ab')
        fused = CLASSICAL_METHODS['poisson'](a, b)
        assert (read(out / 'fused' / f'{index}.png') == fused[..., None]).all()
        assert (dumped[index]['pred_fused'].numpy() == fused).all()
    panels = sorted(out.glob('*/panels/*.png'))
    assert [path.name for path in panels] == ['0.png', '1.png', '2.png', '3.png']
    assert read(panels[0]).shape[1] > 3 * 150  # both sources and the fused image

    overwritten = run_tool('python', TOOLS / 'test.py', config, '--work-dir', out, '--out-dir', pairs / 'b')
    assert overwritten.returncode == 1
    assert overwritten.stderr.rstrip().splitlines()[-1].startswith(f'Error: {pairs}/b/0.png: would overwrite a source')


def test_test_refuses_random_weights(tiny_config, run_tool):
    result = run_tool('python', TOOLS / 'test.py', tiny_config)
    assert result.returncode == 1
    assert 'tiny.py needs a checkpoint: a model with random weights shows nothing' in result.stderr


def test_eval_fused_dir(pairs, run_tool, call_tool, tmp_path):
    command = (EVALUATE, '--a', pairs / 'a', '--b', pairs / 'b', '--metrics', 'MI', 'VIF')
    result = run_tool(
        *('python', *command, '--fused', pairs / 'inverse'),
        *('--json', tmp_path / 'o/x.json', '--csv', tmp_path / 'o/x.csv'),
    )
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / 'o/x.json').read_text())
    expected = expected_scores(pairs, pairs / 'inverse', ['MI', 'VIF'])
    assert report['images'] == expected
    assert report['mean']['VIF'] == pytest.approx(np.mean([scores['VIF'] for scores in expected.values()]))
    assert f'{report["mean"]["MI"]:.4f}' in result.stdout
    assert (tmp_path / 'o/x.csv').read_text().startswith('image,MI,VIF\n0,')

    (pairs / 'inverse' / '3.png').unlink()
    cv2.imwrite(str(pairs / 'inverse' / '2.png'), np.zeros((48, 64), np.uint8))
    code, _, errors = call_tool(*command, '--fused', pairs / 'inverse', '--json', tmp_path / 'none.json')
    assert code == 1 and 'Error: expected one image' in errors and f'{pairs}/inverse/3.*: no such image' in errors
    names = tmp_path / 'names.txt'
    names.write_text('0\n1\n2\n')
    code, _, errors = call_tool(
        *command, '--fused', pairs / 'inverse', '--names', names, '--json', tmp_path / 'none.json'
    )
    assert code == 1 and '2: images must have one size' in errors
    assert not (tmp_path / 'none.json').exists()


def test_eval_fused_dir_loads_no_networks(run_tool):
    code = 'import sys, mmdefusion.evaluation.folders as f; print([m for m in sys.modules if "mmdefusion.models" in m])'
    assert run_tool('python', '-c', code).stdout.strip() == '[]'


def test_compare_methods(pairs, call_tool, tmp_path):
    out = tmp_path / 'compared'
    (tmp_path / 'means.json').write_text(json.dumps(dict(Published=dict(MI=99.0, SSIM=0.99, EN=7.0))))
    sources = ('--a', pairs / 'a', '--b', pairs / 'b', '--rank-by', 'MI', 'SSIM')
    code, output, errors = call_tool(
        *(COMPARE, '--methods', f'good={pairs / "mertens"}', f'bad={pairs / "inverse"}'),
        *(*sources, '--means', tmp_path / 'means.json', '--out-dir', out, '--sheet', '1', '3'),
    )
    assert code == 0, errors
    text = (out / 'table.md').read_text(encoding='utf-8')
    assert output == text
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in text.splitlines() if line.startswith('|')]
    assert rows[0] == ['method', 'MI ↑', 'SSIM ↑', 'mean rank ↓', '95% interval']
    assert rows[2] == ['Published', '**99.0000**', '**0.9900**', '1.00', '1.00 to 1.00']
    methods = [row[0] for row in rows[2:]]
    assert sorted(methods) == sorted(['Published', 'good', 'bad', *CLASSICAL_METHODS])
    cells = {row[0]: [cell.strip('*') for cell in row[1:3]] for row in rows[2:]}
    expected = expected_scores(pairs, pairs / 'mertens', ['MI', 'SSIM'])
    means = [f'{np.mean([scores[name] for scores in expected.values()]):.4f}' for name in ('MI', 'SSIM')]
    assert cells['good'] == cells['mertens'] == means
    assert 'beat both has not shown anything' in text and '(Published)' in text
    assert json.loads((out / 'good.json').read_text())['images'] == expected
    assert read(out / 'chart.png').shape[0] > 200
    # Two sources, two methods, maximum and gradient domain.
    assert read(out / 'sheet.png').shape[1] == 4 + 6 * 244

    code, output, errors = call_tool(
        *(COMPARE, '--methods', f'good={out / "good.json"}', f'bad={out / "bad.json"}'),
        *('--rank-by', 'MI', 'SSIM', '--out-dir', tmp_path / 'again'),
    )
    assert code == 0, errors
    assert output.count('\n| ') == 3 and cells['good'][0] in output
    assert sorted(path.name for path in (tmp_path / 'again').iterdir()) == ['chart.png', 'table.md']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('x=nowhere', '--rank-by', 'MI'), 'nowhere: neither a folder nor a readable JSON file'),
        (('x={pairs}/a', '--rank-by', 'MI'), 'needs the sources, --a and --b'),
        (
            ('x={pairs}/a', '--a', '{pairs}/a', '--b', '{pairs}/b', '--rank-by', 'MI', '--sheet', '9'),
            '9 is not in every',
        ),
        (('x', '--rank-by', 'MI'), 'must be NAME=PATH'),
    ],
)
def test_compare_methods_says_what_is_wrong(pairs, call_tool, tmp_path, arguments, message):
    arguments = [argument.format(pairs=pairs) for argument in arguments]
    code, _, errors = call_tool(COMPARE, '--methods', *arguments, '--out-dir', tmp_path / 'out')
    assert code != 0 and message in errors
