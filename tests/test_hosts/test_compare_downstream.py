# Copyright (c) mmdefusion authors. All rights reserved.
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

TOOL = Path(__file__).resolve().parents[2] / 'tools/analysis_tools/compare_downstream.py'

PRETRAINED = """
_base_ = './tiny_pair-scratch.py'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='set by --checkpoint', prefix='backbone.')))
"""
IN_THE_PROCESS = ('num_workers=0', 'persistent_workers=False')


def test_variants_are_trained_once(seg_config_text, seg_pairs, run_host_tool, tmp_path):
    pytest.importorskip('mmseg.apis')
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


def test_detection_of_the_data_alone(run_host_tool, tmp_path):
    """The shipped config, with annotations that the tool makes, on four pairs for training and two for testing."""
    pytest.importorskip('mmdet.apis')
    data = tmp_path / 'data'
    mask = np.zeros((120, 160), np.uint8)
    mask[40:80, 60:110] = 1  # a car
    for index in range(6):
        for side, image in (('vi', mask + 60), ('ir', mask * 100 + 60), ('pseudo_labels', mask)):
            (data / side).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(data / side / f'{index}.png'), image)
    (data / 'train.txt').write_text('0\n1\n2\n3\n')
    (data / 'boxes').mkdir()
    for index in (4, 5):
        (data / 'boxes' / f'{index}.txt').write_text('2 0.53125 0.5 0.3125 0.333333\n')
    command = (
        *('python', TOOL, 'det', '--checkpoint', 'mmdefusion://backbone', '--data-root', data),
        *('--variants', 'pair-frozen', '--seeds', '0', '--out-dir', tmp_path / 'out', '--samples', '1'),
        *('--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'default_hooks.checkpoint.interval=1'),
        'model.test_cfg.score_thr=0.0',
        *(f'{phase}_dataloader.{option}' for phase in ('train', 'val') for option in IN_THE_PROCESS),
    )
    result = run_host_tool(*command)
    assert result.returncode == 0, result.stderr[-3000:]
    assert 'annotations of train made: 4 pairs, 4 boxes' in result.stdout
    boxes = json.loads((tmp_path / 'out/annotations/infrared_test.json').read_text())
    assert [image['file_name'] for image in boxes['images']] == ['ir/4.png', 'ir/5.png']
    assert boxes['annotations'][1]['bbox'] == pytest.approx([60, 40, 50, 40], abs=1e-3)
    assert not (data / 'annotations').exists()
    metrics = json.loads((tmp_path / 'out/results.json').read_text())['variants']['pair-frozen']['metrics']
    cells = ' | '.join(f'**{metrics[name]["mean"]:.2f}**' for name in ('coco/bbox_mAP_50', 'coco/bbox_mAP'))
    assert f'| pair-frozen | {cells} | 1 |' in (tmp_path / 'out/table.md').read_text()
    assert 'tensors loaded from' in (tmp_path / 'out/runs/pair-frozen/seed0/train.log').read_text()
    # Two sources, labels, one prediction, each title above its tile; the box is drawn on the labels alone.
    sheet = cv2.imread(str(tmp_path / 'out/sheet.png')).astype(int)
    assert sheet.shape[1] == 4 * (320 + 6) + 6
    visible, _, labels, _ = (sheet[-246:-6, left : left + 320] for left in range(6, sheet.shape[1], 326))
    drawn = np.abs(labels - visible).max(axis=2) > 8
    assert drawn[80:160, [120, 219]].mean() > 0.9 and not drawn[:70].any()
