# Copyright (c) mmdefusion authors. All rights reserved.
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmdefusion.models import MAEViT
from mmdefusion.testing import TINY_TEACHER

ROOT = Path(__file__).resolve().parents[2]
MCUD_LOSSES = {'loss_mcud_source1', 'loss_mcud_source2', 'loss_mcud_consistency'}
CUD_LOSSES = {'loss_common', 'loss_unique1', 'loss_unique2', 'loss_fused', 'loss_ssim', 'loss_masked'}

CONFIG = """
_base_ = '{root}/configs/defusion/defusion-pp_nano_mcud_1xb16-10e_photos-roadscene-msrs-160px.py'
arch = dict(_delete_=True, embed_dims=16, depth=2, num_heads=2, patch_size=4, window_size=4, cross_heads=2)
encoder = {teacher}
teacher = dict(type='FrozenEncoder', encoder=encoder, checkpoint='{data}/teacher.pth', recipe='train the teacher')
model = dict(
    backbone=dict(arch=arch),
    neck=dict(arch=arch, frozen_queries=False),
    teachers=[teacher, teacher],
    mcud_head=dict(arch=arch, teacher_dims=(12, 12)),
)
loading = [dict(type='LoadImageFromFile')]
crop = [dict(type='RandomResizedCrop', scale=32)]
packing = [dict(type='PackFusionInputs')]
photos = dict(type='ImageFolderDataset', kind='photo', data_root='{data}', data_prefix=dict(img_path='vi'),
              pipeline=loading + crop + [dict(type='RandomCUDMasks')] + packing)
pairs = dict(type='PairedImageDataset', kind='infrared_visible', data_root='{data}',
             pipeline=loading + [dict(type='LoadPairedImage')] + crop + packing)
train_dataloader = dict(
    batch_size=2,
    batch_sampler=dict(ratio=(2, 1), num_batches=4),
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[photos, pairs],
                 ignore_keys=['dataset_type', 'task_name']),
)
val_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False,
                      dataset=dict(data_root='{data}', data_prefix=dict(img_path='vi'), subset='all', indices=2))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=2, val_interval=1)
default_hooks = dict(
    logger=dict(interval=1),
    visualization=dict(num_samples=0, pair_dataset=None))
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[1], gamma=0.5)]
custom_hooks = [dict(type='ReproducibleRunHook')]
log_processor = dict(window_size=1)
visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])
load_from = None
"""


@pytest.fixture
def mcud_config(tmp_path):
    """A config that trains on five colour images, alone and in pairs with gray infrared images."""
    generator = np.random.default_rng(0)
    for folder in ('vi', 'ir'):
        (tmp_path / folder).mkdir()
        for index in range(5):
            coarse = generator.integers(0, 256, (6, 8, 3) if folder == 'vi' else (6, 8), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / folder / f'{index}.png'), cv2.resize(coarse, (64, 48)))
    torch.manual_seed(0)
    torch.save(MAEViT(**TINY_TEACHER).state_dict(), tmp_path / 'teacher.pth')
    path = tmp_path / 'mcud.py'
    path.write_text(CONFIG.format(root=ROOT, data=tmp_path, teacher=dict(type='MAEViT', **TINY_TEACHER)))
    return path


def steps(work_dir):
    """Names and values of the losses of each step."""
    (path,) = Path(work_dir).glob('*/vis_data/scalars.json')
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in entry.items() if 'loss' in name} for entry in entries if 'loss' in entry]


def train(config, work_dir, resume=False):
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(dict(work_dir=str(work_dir), resume=resume, experiment_name=f'{work_dir.name}_{resume}'))
    Runner.from_cfg(cfg).train()
    return torch.load(work_dir / 'epoch_2.pth', map_location='cpu', weights_only=False)['state_dict']


def test_alternates_logs_apart_and_resumes_at_the_same_point(mcud_config, tmp_path):
    weights = train(mcud_config, tmp_path / 'whole')
    assert not any(name.startswith('teachers') for name in weights)
    log = steps(tmp_path / 'whole')
    # Cycles of photo, pair, photo go on over the epoch's end, which is after four batches. A loss appears with the
    # first batch that has it, and its last value is shown again until the next one.
    seen = [set(log[0]) - {'loss'}, *(set(entry) - {'loss'} for entry in log[1:])]
    assert seen == [CUD_LOSSES] + [CUD_LOSSES | MCUD_LOSSES] * 7
    for number, entry in enumerate(log):
        names = MCUD_LOSSES if number % 3 == 1 else CUD_LOSSES
        assert entry['loss'] == pytest.approx(sum(entry[name] for name in names), rel=1e-4)
        if number:
            kept = CUD_LOSSES if number % 3 == 1 else MCUD_LOSSES
            assert all(entry[name] == log[number - 1][name] for name in kept & log[number - 1].keys())

    # As if the run had been cut off after the first epoch.
    shutil.copytree(tmp_path / 'whole', tmp_path / 'half')
    (tmp_path / 'half/epoch_2.pth').unlink()
    (tmp_path / 'half/last_checkpoint').write_text(str(tmp_path / 'half/epoch_1.pth'))
    again = train(mcud_config, tmp_path / 'half', resume=True)
    assert weights.keys() == again.keys()
    assert all(torch.equal(value, again[name]) for name, value in weights.items())
    start = torch.load(tmp_path / 'whole/epoch_1.pth', map_location='cpu', weights_only=False)['state_dict']
    assert not torch.equal(start['mcud_head.preds.0.weight'], weights['mcud_head.preds.0.weight'])


def test_two_processes_alternate_together(mcud_config, run_tool, free_port, tmp_path):
    result = run_tool(
        *('bash', ROOT / 'tools/dist_train.sh', mcud_config, '2', '--work-dir', tmp_path / 'dist'),
        *('--cfg-options', 'train_cfg.max_epochs=1'),
        PORT=free_port,
        PYTHON=os.sys.executable,
    )
    assert result.returncode == 0, result.stderr
    log = steps(tmp_path / 'dist')
    assert len(log) == 4
    for number, names in enumerate((CUD_LOSSES, MCUD_LOSSES, CUD_LOSSES, CUD_LOSSES)):
        assert log[number]['loss'] == pytest.approx(sum(log[number][name] for name in names), rel=1e-4)


def test_a_missing_teacher_is_an_error_before_the_first_step(mcud_config, tmp_path):
    (tmp_path / 'teacher.pth').unlink()
    with pytest.raises(FileNotFoundError, match=r'teacher.pth: no such file.*train the teacher'):
        train(mcud_config, tmp_path / 'none')
    assert not list((tmp_path / 'none').glob('*/vis_data/scalars.json'))
