# Copyright (c) mmdefusion authors. All rights reserved.
import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmdefusion.registry import MODELS
from mmdefusion.testing import TINY_ARCH, tiny_model_cfg

ROOT = Path(__file__).resolve().parents[2]

CONFIG = """
_base_ = '{root}/configs/fusion/defusion-pp_nano_msrs.py'
arch = dict(_delete_=True, **{arch})
model = dict(backbone=dict(arch=arch), neck=dict(arch=arch))
test_dataloader = dict(dataset=dict(data_root='{data}'))
"""


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location(
        'compare_checkpoints', ROOT / 'tools/analysis_tools/compare_checkpoints.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def arguments(tmp_path):
    """Five pairs and two checkpoints: one as made, the other with a common part that is white."""
    generator = np.random.default_rng(0)
    for folder in ('vi', 'ir'):
        (tmp_path / folder).mkdir()
        for index in range(5):
            image = generator.integers(0, 256, (40, 200, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / folder / f'{index}.png'), image)
    torch.manual_seed(0)
    model = MODELS.build(tiny_model_cfg())
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')
    model.neck.common.pred.weight.data.zero_()
    model.neck.common.pred.bias.data.fill_(1)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'b.pth')
    (tmp_path / 'pairs.py').write_text(CONFIG.format(root=ROOT, data=tmp_path, arch=TINY_ARCH))
    checkpoints = [f'first={tmp_path / "a.pth"}', f'second={tmp_path / "b.pth"}']
    return ['--configs', str(tmp_path / 'pairs.py'), '--out-dir', str(tmp_path / 'out'), '--checkpoints', *checkpoints]


def test_tables_and_pictures_of_parts(tool, arguments, monkeypatch, tmp_path):
    commands = []

    def run(script, *parts):
        commands.append([script, *map(str, parts)])
        if 'compare_methods' in script:
            (tmp_path / 'out/pairs/table.md').write_text('| table |\n')

    monkeypatch.setattr(tool, 'run', run)
    monkeypatch.setattr(sys, 'argv', ['compare_checkpoints.py', *arguments])
    tool.main()
    assert (tmp_path / 'out/table.md').read_text() == '## pairs\n\n| table |\n'
    tests, (comparison,) = commands[:-1], commands[-1:]
    assert [Path(command[2]).name for command in tests] == ['a.pth', 'b.pth']
    assert all(command[0] == 'test.py' and Config.fromfile(command[1]).model.backbone.arch for command in tests)
    scores = [f'{name}={tmp_path}/out/pairs/{name}/scores.json' for name in ('first', 'second')]
    assert comparison[:3] == ['analysis_tools/compare_methods.py', '--task', 'infrared_visible']
    assert comparison[4:6] == scores
    # The first, the middle and the last of the five pairs.
    parts = {path.stem: cv2.imread(str(path)) for path in (tmp_path / 'out/pairs/parts').iterdir()}
    assert sorted(parts) == ['0', '2', '4']
    # Two rows of sources, common, unique 1, unique 2 and fused, 200 x 40 pixels each; margins are 6, titles 24 high.
    panel = parts['0']
    assert panel.shape == (2 * (40 + 24 + 6) + 6, 6 * 206 + 6, 3)
    source = cv2.imread(str(tmp_path / 'vi/0.png'))
    luma = panel[30:70, 6:206]
    assert np.abs(luma.astype(int) - cv2.cvtColor(source, cv2.COLOR_BGR2GRAY)[..., None]).max() <= 1
    common = [panel[top : top + 40, 6 + 2 * 206 : 206 + 2 * 206] for top in (30, 100)]
    assert (common[1] == 255).all() and not (common[0] == 255).all()
    others = [panel[top : top + 40, 6 + 3 * 206 :] for top in (30, 100)]
    assert np.array_equal(*others)


def test_says_what_is_wrong(tool, arguments, monkeypatch, tmp_path, capsys):
    with pytest.raises(RuntimeError, match=r'test.py nowhere.py failed:(.|\n)*nowhere.py'):
        tool.run('test.py', 'nowhere.py')
    (tmp_path / 'b.pth').unlink()
    monkeypatch.setattr(sys, 'argv', ['compare_checkpoints.py', *arguments])
    with pytest.raises(SystemExit):
        tool.main()
    assert f"these are none: ['{tmp_path}/b.pth']" in capsys.readouterr().err
