# Copyright (c) mmdefusion authors. All rights reserved.
import ast
from functools import cache
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdefusion.models import DeFusionPP
from mmdefusion.registry import DATASETS, HOOKS, METRICS, MODELS, VISUALIZERS

ROOT = Path(__file__).resolve().parents[1] / 'configs'
# Those of mmdet and mmseg are tested with their hosts.
CONFIGS = sorted(path for path in ROOT.rglob('*.py') if not {'_base_', 'mmdet', 'mmseg'} & set(path.parts))


@cache
def _build_hook(hook):
    # Most configs share their hooks, and one of these draws sample pairs.
    HOOKS.build(ast.literal_eval(hook))


def _parts(dataset):
    """Configs of the datasets that are put together in one."""
    if 'datasets' not in dataset:
        return [dataset]
    return [leaf for part in dataset.datasets for leaf in _parts(part)]


@pytest.mark.smoke
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_config_builds(path):
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    if isinstance(model, DeFusionPP):
        assert model.backbone.arch == MODELS.build(cfg.model.backbone).arch
    phases = [phase for phase in ('train', 'val', 'test') if f'{phase}_dataloader' in cfg]
    assert 'test' in phases
    for phase in phases:
        for part in _parts(cfg[f'{phase}_dataloader'].dataset):
            dataset = DATASETS.build({**part, 'lazy_init': True})
            assert dataset.data_root == part.data_root
        assert f'{phase}_cfg' in cfg
        if phase != 'train':
            evaluator = cfg[f'{phase}_evaluator']
            assert all(METRICS.build(metric) for metric in (evaluator if isinstance(evaluator, list) else [evaluator]))
    VISUALIZERS.build({**cfg.visualizer, 'name': f'test {path.name}', 'vis_backends': None})
    for hook in [*cfg.default_hooks.values(), *cfg.custom_hooks]:
        _build_hook(repr(hook.to_dict()))


def test_published_recipe():
    cfg = Config.fromfile(ROOT / 'defusion_pretrain.py')
    init_default_scope(cfg.default_scope)
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
    cfg = Config.fromfile(ROOT / 'defusion/defusion-pp_nano_1xb16-12e_photos-160px.py')
    model = MODELS.build({**cfg.model, '_scope_': 'mmdefusion'})
    assert sum(parameter.numel() for parameter in model.parameters()) == 6_551_942
    arch = model.backbone.arch
    assert cfg.train_pipeline[1].scale % (arch.patch_size * arch.window_size) == 0


def test_published_second_stage():
    cfg = Config.fromfile(ROOT / 'defusion/defusion-pp_tiny_mcud_1xb16-200e_coco-msrs-224px.py')
    assert cfg.train_dataloader.batch_size == 16 and cfg.optim_wrapper.optimizer.lr == 1e-4
    assert cfg.train_cfg.max_epochs == 200
    assert (cfg.param_scheduler[0].milestones, cfg.param_scheduler[0].gamma) == ([80, 160, 180, 190], 0.5)
    photos, pairs = cfg.train_dataloader.dataset.datasets
    assert photos.data_root == 'data/coco/' and pairs.data_root == 'data/MSRS/train/'
    assert photos.pipeline[1].scale == pairs.pipeline[2].scale == 224
    assert pairs.kind in cfg.model.mcud_head.kinds
    head = MODELS.build({**cfg.model.mcud_head, '_scope_': 'mmdefusion'})
    assert head.source_weights == (1, 1) and head.consistency_weight == 1


def test_ablations_of_the_second_stage_differ_in_one_thing():
    stem = 'defusion/defusion-pp_nano_{}_1xb16-10e_photos{}-160px.py'
    full, plain, none = (
        Config.fromfile(ROOT / stem.format(*names))
        for names in (('mcud', '-roadscene-msrs'), ('mcud-no-consistency', '-roadscene-msrs'), ('no-mcud', ''))
    )
    assert (full.model.mcud_head.consistency_weight, plain.model.mcud_head.consistency_weight) == (1, 0)
    assert none.model.mcud_head is None and none.train_dataloader.batch_sampler.ratio == (1, 0)
    plain.model.mcud_head.consistency_weight = 1.0
    assert plain.model == full.model
    for key in ('train_cfg', 'optim_wrapper', 'param_scheduler', 'load_from', 'custom_hooks', 'val_dataloader'):
        assert full[key] == plain[key] == none[key]
    assert full.train_dataloader == plain.train_dataloader
    none.train_dataloader.batch_sampler.ratio = (1, 1)
    assert none.train_dataloader == full.train_dataloader


def crop_sizes(steps):
    """Sizes of all crops in pipelines of any depth."""
    if isinstance(steps, list):
        return {size for step in steps for size in crop_sizes(step)}
    if steps['type'] == 'RandomResizedCrop':
        return {steps['scale']}
    return crop_sizes(steps.get('transforms', []))


def test_kinds_of_pairs_cannot_be_told_by_the_size_of_their_crops():
    """A network sees how its image is padded; it learned the kind from that, and fused whole pairs as another kind."""
    cfg = Config.fromfile(ROOT / 'defusion/defusion-pp_nano_fusion_1xb16-35e_photos-roadscene-msrs-160px.py')
    _, infrared, focus, exposure = cfg.train_dataloader.dataset.datasets
    pipelines = [dataset.pipeline for dataset in (*infrared.datasets, focus, exposure)]
    assert [crop_sizes(pipeline) for pipeline in pipelines] == [{136}] * 4


def test_adaptation_starts_without_steps_and_from_the_package():
    cfg = Config.fromfile(ROOT / 'defusion/defusion-pp_nano_fusion_1xb16-35e_photos-roadscene-msrs-160px.py')
    (hook,) = (hook for hook in cfg.custom_hooks if hook.type == 'FusionWeightsHook')
    start, *later = (
        kinds.infrared_visible for kinds in (cfg.model.fusion_head.weights, *(s.weights for s in hook.stages))
    )
    assert start.steps == 0 < later[0].steps and all(end.keys() <= start.keys() for end in later)
    assert hook.stages[-1].end < cfg.train_cfg.max_epochs == cfg.param_scheduler[1].T_max
    assert cfg.load_from == 'mmdefusion://pretext'
