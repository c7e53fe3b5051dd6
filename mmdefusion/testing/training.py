# Copyright (c) mmdefusion authors. All rights reserved.
"""A training short enough for a test."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from .models import tiny_model_cfg


def tiny_training_cfg(folder: str | os.PathLike, max_epochs: int = 2) -> dict:
    """Config of a training with all that a resumed one has to go on with.

    It has averaged weights, clipped gradients, schedulers by iteration and by epoch, dropout, and samples that are seen
    twice in an epoch. An epoch has 10 batches of 2; every second one leads to a checkpoint.

    Args:
        folder: Ten generated photos of 24x32 pixels are written to ``photos`` in it, runs to ``work_dir``.
        max_epochs: Epochs.
    """
    photos = Path(folder, 'photos')
    photos.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for index in range(10):
        cv2.imwrite(str(photos / f'{index}.png'), rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', scale=16),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PhotometricJitter'),
        dict(type='RandomCUDMasks'),
        dict(type='PackFusionInputs'),
    ]
    dataset = dict(type='ImageFolderDataset', data_root=str(photos), pipeline=pipeline)
    return dict(
        default_scope='mmdefusion',
        work_dir=str(Path(folder, 'work_dir')),
        model=tiny_model_cfg(cross_dropout=0.1),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=dict(type='RepeatDataset', times=2, dataset=dataset),
        ),
        train_cfg=dict(type='ResumableTrainLoop', max_epochs=max_epochs),
        optim_wrapper=dict(
            type='AutocastOptimWrapper',
            dtype='float32',
            optimizer=dict(type='AdamW', lr=1e-3),
            clip_grad=dict(max_norm=10),
        ),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=7),
            dict(type='MultiStepLR', by_epoch=True, milestones=[1, 2], gamma=0.5),
        ],
        default_hooks=dict(
            checkpoint=dict(type='AtomicCheckpointHook', by_epoch=False, interval=2),
            logger=dict(type='LoggerHook', interval=1),
        ),
        custom_hooks=[
            dict(type='ReproducibleRunHook'),
            dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.05),
        ],
        randomness=dict(seed=0),
        log_level='ERROR',
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        load_from=None,
        resume=False,
    )
