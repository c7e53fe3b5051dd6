# Copyright (c) mmdefusion authors. All rights reserved.
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]

CONFIG = """
_base_ = '{root}/configs/defusion/defusion-pp_nano_1xb16-12e_photos-160px.py'
arch = dict(_delete_=True, embed_dims=16, depth=2, num_heads=2, patch_size=4, window_size=4, cross_heads=2)
model = dict(backbone=dict(arch=arch), neck=dict(arch=arch, frozen_queries=False))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=32),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotometricJitter'),
    dict(type='RandomCUDMasks'),
    dict(type='PackFusionInputs'),
]
train_dataloader = dict(
    batch_size=4, num_workers=1, dataset=dict(data_root='{data}', subset='all', pipeline=train_pipeline))
val_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False,
                      dataset=dict(data_root='{data}', subset='val'))
test_dataloader = val_dataloader
default_hooks = dict(
    logger=dict(interval=1),
    visualization=dict(num_samples=1, pair_dataset=dict(tasks=['infrared_visible'], height=48)))
train_cfg = dict(max_epochs=2)
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[1], gamma=0.5)]
"""


@pytest.fixture
def tiny_config(tmp_path):
    """A config that trains the test network on twelve generated photos, inheriting from a shipped one."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index in range(12):
        coarse = generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'{index:02}.png'), cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_CUBIC))
    path = tmp_path / 'tiny.py'
    path.write_text(CONFIG.format(root=ROOT, data=folder))
    return path


@pytest.fixture
def run_tool(tmp_path):
    """Runs a tool in a process of its own, as a user would."""

    def run(*command, **variables):
        environment = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1', **variables)
        command = [sys.executable if part == 'python' else str(part) for part in command]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)

    return run
