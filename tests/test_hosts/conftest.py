# Copyright (c) mmdefusion authors. All rights reserved.
import importlib.util
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch.utils.flop_counter import FlopCounterMode

from mmdefusion.datasets.converters import MSRS_PSEUDO_LAYOUT, convert_splits
from mmdefusion.engine import EMAHook
from mmdefusion.testing import TINY_ARCH, tiny_training_cfg

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run_host_tool(tmp_path):
    """Runs a tool in a process of its own, as a user would."""

    def run(*command, **variables):
        environment = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1', **variables)
        command = [sys.executable if part == 'python' else str(part) for part in command]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture
def read_tool_config(monkeypatch):
    """Reads a config as one of our tools does with a command line, in this process."""

    def read(tool, *arguments):
        path = ROOT / f'tools/{tool}.py'
        spec = importlib.util.spec_from_file_location(f'{tool}_tool', path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, 'argv', [str(part) for part in (path, *arguments)])
        return module.load_config(module.parse_args())

    return read


@pytest.fixture
def train_with_flags(read_tool_config):
    """Trains as ``tools/train.py`` does with a command line, in this process."""

    def train(config_path, *flags):
        cfg = read_tool_config('train', config_path, *flags)
        # Instances are found by name.
        cfg.experiment_name = cfg.visualizer.name = f'flags_{time.time()}'
        runner = Runner.from_cfg(cfg)
        runner.train()
        return runner

    return train


@pytest.fixture
def pair_folder(tmp_path):
    """One pair of 80x60 with empty labels: 40 left and 80 right in the first source, 200 in the second."""
    visible = np.full((60, 80, 3), 40, np.uint8)
    visible[:, 40:] = 80
    for side, image in (('vi', visible), ('ir', np.full_like(visible, 200)), ('labels', np.zeros((60, 80), np.uint8))):
        (tmp_path / side).mkdir()
        cv2.imwrite(str(tmp_path / side / '1.png'), image)
    return tmp_path


@pytest.fixture
def check_views():
    """Checks what test-time augmentation makes of ``pair_folder``: each size, and then its mirror image."""

    def check(views, sizes, sources):
        assert [tuple(view.shape) for view in views] == [
            (3 * sources, height, width) for width, height in sizes for _ in range(2)
        ]
        for plain, mirrored in zip(views[::2], views[1::2], strict=True):
            assert (plain[:3, :, 0] == 40).all() and (plain[:3, :, -1] == 80).all() and (plain[3:] == 200).all()
            assert torch.equal(mirrored, plain.flip(-1))

    return check


class Pretraining(NamedTuple):
    """Checkpoint of a pretraining with averaged weights, and the backbone's tensors in memory at its end."""

    checkpoint: str
    averaged: dict[str, torch.Tensor]
    last: dict[str, torch.Tensor]


@pytest.fixture(scope='session')
def pretraining(tmp_path_factory):
    """One epoch of our own Runner."""
    cfg = Config(tiny_training_cfg(tmp_path_factory.mktemp('pretraining'), max_epochs=1))
    cfg.experiment_name = 'pretraining'
    cfg.default_hooks.checkpoint.update(by_epoch=True, interval=1)
    runner = Runner.from_cfg(cfg)
    runner.train()
    (averaging,) = (hook for hook in runner.hooks if isinstance(hook, EMAHook))
    backbones = (averaging.ema_model.module.backbone, runner.model.backbone)
    return Pretraining(str(Path(runner.work_dir) / 'epoch_1.pth'), *(backbone.state_dict() for backbone in backbones))


@pytest.fixture
def check_handover(pretraining):
    """Checks that the backbone of a host's runner starts from the averaged weights of ``pretraining``, all of them."""

    def check(cfg):
        cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=pretraining.checkpoint, prefix='backbone.')
        model = Runner.from_cfg(cfg).model
        model.init_weights()
        weights = model.backbone.state_dict()
        assert set(weights) == set(pretraining.averaged)
        for name, value in weights.items():
            assert torch.equal(value, pretraining.averaged[name]), name
        trained = [name for name, _ in model.backbone.named_parameters()]
        assert not any(torch.equal(weights[name], pretraining.last[name]) for name in trained)

    return check


@pytest.fixture
def count_flops():
    """Counts the multiplications of matrix products and convolutions for one pair, with PyTorch's own counter."""

    def count(model, height, width):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model.eval()(torch.rand(1, 6, height, width))
        return counter.get_total_flops() / 2

    return count


@pytest.fixture(scope='session')
def seg_pairs(tmp_path_factory):
    """Four pairs of 64x64 with labels: a bright square in the second source is class 1."""
    folder = tmp_path_factory.mktemp('seg_pairs')
    rng = np.random.default_rng(0)
    for side in ('vi', 'ir', 'labels'):
        (folder / side).mkdir()
    for index in range(4):
        visible = rng.integers(40, 200, (64, 64, 3), dtype=np.uint8)
        infrared, labels = np.full((64, 64), 30, np.uint8), np.zeros((64, 64), np.uint8)
        top, left = rng.integers(0, 40, 2)
        infrared[top : top + 20, left : left + 20] = 220
        labels[top : top + 20, left : left + 20] = 1
        for side, image in (('vi', visible), ('ir', infrared), ('labels', labels)):
            cv2.imwrite(str(folder / side / f'{index}.png'), image)
    return folder


@pytest.fixture(scope='session')
def seg_config_text(seg_pairs):
    """Text of a config that trains a segmentor of pairs for two iterations."""
    return SEG_CONFIG.format(root=seg_pairs, arch=TINY_ARCH)


@pytest.fixture(scope='session')
def det_pairs(tmp_path_factory):
    """Two pairs of 64x64 with masks, from which the boxes are made: a bright square is a car in infrared."""
    root = tmp_path_factory.mktemp('det_pairs')
    rng = np.random.default_rng(0)
    for index in range(2):
        visible = rng.integers(40, 200, (64, 64, 3), dtype=np.uint8)
        infrared, mask = np.full((64, 64), 30, np.uint8), np.zeros((64, 64), np.uint8)
        top, left = rng.integers(0, 40, 2)
        infrared[top : top + 20, left : left + 20] = 220
        mask[top : top + 20, left : left + 20] = 1
        for side, image in (('vi', visible), ('ir', infrared), ('masks', mask)):
            (root / side).mkdir(exist_ok=True)
            cv2.imwrite(str(root / side / f'{index}.png'), image)
    layout = MSRS_PSEUDO_LAYOUT
    split = replace(layout.splits['train'], labels='masks/{name}.png', names=None)
    convert_splits(root, dict(train=split), layout.categories, root / 'annotations')
    return root


@pytest.fixture(scope='session')
def det_config_text(det_pairs):
    """Text of a config that trains a detector of pairs for two epochs of one iteration."""
    return DET_CONFIG.format(root=det_pairs, arch=TINY_ARCH)


SEG_CONFIG = """
_base_ = ['mmseg::_base_/default_runtime.py']
arch = {arch}
metainfo = dict(classes=('background', 'square'), palette=[[0, 0, 0], [255, 0, 0]])
preprocessor = dict(type='mmdefusion.PairedSegDataPreProcessor', size=(48, 48))
model = dict(
    type='EncoderDecoder',
    data_preprocessor=preprocessor,
    backbone=dict(type='mmdefusion.DeFusionViT', arch=arch, num_sources=2),
    neck=dict(type='mmdefusion.FusedFeaturePyramid', in_channels=16, in_stride=4, out_strides=(2, 4, 8, 16)),
    decode_head=dict(
        type='SegformerHead', in_channels=[16] * 4, in_index=[0, 1, 2, 3], channels=8, dropout_ratio=0.0,
        num_classes=2, norm_cfg=dict(type='BN'), align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss')),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
load_pair = [dict(type='LoadImageFromFile'), dict(type='mmdefusion.LoadPairedImage', path_map=('/vi/', '/ir/'))]
train_pipeline = [
    *load_pair,
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(64, 64), ratio_range=(0.8, 1.2), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(48, 48)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmdefusion.ApplyToSource', index=0, transforms=[dict(type='PhotoMetricDistortion')]),
    dict(type='PackSegInputs')]
test_pipeline = [*load_pair, dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdefusion.LoadPairedImage', path_map=('/vi/', '/ir/')),
    dict(type='TestTimeAug', transforms=[
        [dict(type='Resize', scale_factor=1.0, keep_ratio=True)],
        [dict(type='RandomFlip', prob=0.0, direction='horizontal'),
         dict(type='RandomFlip', prob=1.0, direction='horizontal')],
        [dict(type='LoadAnnotations')],
        [dict(type='PackSegInputs')]])]
dataset = dict(
    type='BaseSegDataset', data_root='{root}', img_suffix='.png', metainfo=metainfo,
    data_prefix=dict(img_path='vi', seg_map_path='labels'))
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**dataset, pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, pipeline=test_pipeline, test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3))
param_scheduler = []
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1, save_best='mIoU'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook', draw=True, interval=1))
visualizer = dict(
    type='mmdefusion.PairedSegLocalVisualizer', path_map=('/vi/', '/ir/'), alpha=0.0,
    vis_backends=[dict(type='LocalVisBackend')], name='visualizer')
randomness = dict(seed=0)
"""

DET_CONFIG = """
_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py', 'mmdet::_base_/default_runtime.py']
classes = ('person', 'car')
model = dict(
    data_preprocessor=dict(type='mmdefusion.PairedDetDataPreprocessor', mean=[0.0] * 6, std=[255.0] * 6),
    backbone=dict(_delete_=True, type='mmdefusion.DeFusionViT', arch={arch}, num_sources=2),
    neck=[
        dict(type='mmdefusion.FusedFeaturePyramid', in_channels=16, in_stride=4, out_strides=(4, 8)),
        dict(type='FPN', in_channels=[16] * 2, out_channels=8, num_outs=2)],
    bbox_head=dict(
        num_classes=2, in_channels=8, feat_channels=8, stacked_convs=1,
        anchor_generator=dict(octave_base_scale=4, strides=[4, 8])),
    test_cfg=dict(score_thr=0.0, max_per_img=10))
load_pair = [dict(type='LoadImageFromFile'), dict(type='mmdefusion.LoadPairedImage', path_map=('/vi/', '/ir/'))]
train_pipeline = [
    *load_pair,
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=(64, 64), ratio_range=(0.8, 1.2), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmdefusion.ApplyToSource', index=0, transforms=[dict(type='PhotoMetricDistortion')]),
    dict(type='PackDetInputs')]
pack = dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
test_pipeline = [
    *load_pair, dict(type='Resize', scale=(64, 64), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True), pack]
tta_model = dict(type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=10))
tta_pipeline = [
    *load_pair,
    dict(type='TestTimeAug', transforms=[
        [dict(type='Resize', scale=(64, 64), keep_ratio=True)],
        [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
        [dict(type='LoadAnnotations', with_bbox=True)],
        [dict(pack, meta_keys=(*pack['meta_keys'], 'flip', 'flip_direction'))]])]
dataset = dict(type='CocoDataset', data_root='{root}', data_prefix=dict(img=''), metainfo=dict(classes=classes))
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**dataset, ann_file='annotations/visible_train.json', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, ann_file='annotations/visible_train.json', pipeline=test_pipeline, test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', ann_file='{root}/annotations/visible_train.json', metric='bbox')
test_evaluator = val_evaluator
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3),
    constructor='mmdefusion.LayerDecayOptimWrapperConstructor', paramwise_cfg=dict(layer_decay_rate=0.5))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=1, save_best='coco/bbox_mAP_50', rule='greater'),
    visualization=dict(type='DetVisualizationHook', draw=True, interval=1, score_thr=2.0))
visualizer = dict(type='mmdefusion.PairedDetLocalVisualizer', path_map=('/vi/', '/ir/'))
randomness = dict(seed=0)
"""
