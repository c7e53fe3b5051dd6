# Copyright (c) mmdefusion authors. All rights reserved.
import ast
from functools import cache
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdefusion.registry import DATASETS, HOOKS, METRICS, MODELS, VISUALIZERS

ROOT = Path(__file__).resolve().parents[1] / 'configs'
CONFIGS = sorted(path for path in ROOT.rglob('*.py') if '_base_' not in path.parts)


@cache
def _build_hook(hook):
    # Most configs share their hooks, and one of these draws sample pairs.
    HOOKS.build(ast.literal_eval(hook))


@pytest.mark.smoke
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_config_builds(path):
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    assert model.backbone.arch == MODELS.build(cfg.model.backbone).arch
    phases = [phase for phase in ('train', 'val', 'test') if f'{phase}_dataloader' in cfg]
    assert 'test' in phases
    for phase in phases:
        dataset = DATASETS.build({**cfg[f'{phase}_dataloader'].dataset, 'lazy_init': True})
        assert dataset.data_root == cfg[f'{phase}_dataloader'].dataset.data_root
        assert f'{phase}_cfg' in cfg and (phase == 'train' or METRICS.build(cfg[f'{phase}_evaluator']))
    VISUALIZERS.build({**cfg.visualizer, 'name': f'test {path.name}', 'vis_backends': None})
    for hook in [*cfg.default_hooks.values(), *cfg.custom_hooks]:
        _build_hook(repr(hook.to_dict()))


def test_published_recipe():
    cfg = Config.fromfile(ROOT / 'defusion_pretrain.py')
    assert cfg.model.backbone.arch == 'tiny'
    assert cfg.train_dataloader.batch_size == 16 and cfg.train_dataloader.dataset.indices == 50000
    assert cfg.train_pipeline[1].scale == 224
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.betas) == ('Adam', 4e-4, (0.9, 0.999))
    assert cfg.optim_wrapper.clip_grad.max_norm == 20 / 16
    assert cfg.train_cfg.max_epochs == 50
    assert (cfg.param_scheduler[0].milestones, cfg.param_scheduler[0].gamma) == ([20, 40, 45, 47], 0.5)
    head = MODELS.build(cfg.model.head)
    assert (head.common_weight, head.unique_weight, head.fused_weight) == (20, 10, 100)
    assert (head.ssim_weight, head.masked_weight) == (50, 2)


def test_nano_is_small_and_every_window_fits_the_crop():
    cfg = Config.fromfile(ROOT / 'defusion/defusion-pp_nano_1xb16-20e_photos-128px.py')
    model = MODELS.build({**cfg.model, '_scope_': 'mmdefusion'})
    assert sum(parameter.numel() for parameter in model.parameters()) == 3_892_096
    arch = model.backbone.arch
    assert cfg.train_pipeline[1].scale % (arch.patch_size * arch.window_size) == 0
