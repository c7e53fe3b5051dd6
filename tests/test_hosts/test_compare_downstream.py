# Copyright (c) mmdefusion authors. All rights reserved.
import json
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

pytest.importorskip('mmseg.apis')

TOOL = Path(__file__).resolve().parents[2] / 'tools/analysis_tools/compare_downstream.py'

PRETRAINED = """
_base_ = './tiny_pair-scratch.py'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='set by --checkpoint', prefix='backbone.')))
"""


def test_variants_are_trained_once(seg_config_text, seg_pairs, run_host_tool, tmp_path):
    scratch = tmp_path / 'tiny_pair-scratch.py'
    scratch.write_text(
        seg_config_text.replace('mmdefusion.PairedSegLocalVisualizer', 'SegLocalVisualizer').replace(
            "path_map=('/vi/', '/ir/'), alpha", 'alpha'
        )
    )
    (tmp_path / 'tiny_pair-pretrained.py').write_text(PRETRAINED)
    backbone = MODELS.build(Config.fromfile(scratch).model.backbone)
    torch.save(dict(state_dict={f'backbone.{k}': v for k, v in backbone.state_dict().items()}), tmp_path / 'w.pth')
    command = (
        *('python', TOOL, 'seg', '--config', tmp_path / 'tiny', '--checkpoint', tmp_path / 'w.pth'),
        *('--variants', 'pair-scratch', 'pair-pretrained', '--seeds', '3', '--out-dir', tmp_path / 'out'),
        *('--cfg-options', 'train_cfg.max_iters=1', 'val_dataloader.dataset.indices=2'),
    )
    first = run_host_tool(*command)
    assert first.returncode == 0, first.stderr[-3000:]
    assert 'finished earlier' not in first.stdout
    results = json.loads((tmp_path / 'out/results.json').read_text())['variants']
    for variant in ('pair-scratch', 'pair-pretrained'):
        value = results[variant]['metrics']['mIoU']['mean']
        assert 0 <= value <= 100 and f'| {value:.2f}' in first.stdout.replace('*', '')
        log = (tmp_path / f'out/runs/{variant}/seed3/train.log').read_text()
        assert ('tensors loaded from' in log) == (variant == 'pair-pretrained')
    # Two sources, labels, two predictions, each title above its tile; two rows.
    assert cv2.imread(str(tmp_path / 'out/sheet.png')).shape[1] == 5 * (320 + 6) + 6
    assert cv2.imread(str(tmp_path / 'out/curves.png')) is not None

    (tmp_path / 'out/table.md').unlink()
    second = run_host_tool(*command)
    assert second.returncode == 0 and second.stdout.count('finished earlier') == 2, second.stderr[-3000:]
    assert second.stdout.splitlines()[-6:] == first.stdout.splitlines()[-6:] and (tmp_path / 'out/table.md').exists()

    missing = run_host_tool(*command[:6], tmp_path / 'none.pth', *command[7:])
    assert missing.returncode == 1 and 'none.pth: no such file' in missing.stderr
