# Copyright (c) mmdefusion authors. All rights reserved.
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.hub import get_config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS, init_default_scope
from mmengine.structures import InstanceData

from mmdefusion.datasets.converters import DETECTION_LAYOUTS
from mmdefusion.weights import shipped_weights

pytest.importorskip('mmdet.models')

ROOT = Path(__file__).resolve().parents[2] / 'configs/mmdet'
CONFIGS = sorted(ROOT.rglob('*.py'))
DETECTORS = {
    'faster-rcnn': 'faster-rcnn_defusion-tiny_1x_{}.py',
    'retinanet': 'retinanet_defusion-tiny_1x_{}.py',
    'cascade-rcnn': 'cascade-rcnn_defusion-tiny_1x_{}.py',
    'rtmdet': 'rtmdet-s_defusion-tiny_8xb32-300e_{}.py',
    'dino': 'dino-4scale_defusion-tiny_8xb2-12e_{}.py',
}
NANO = 'faster-rcnn_defusion-nano_1x_{}.py'


def build(cfg):
    """The config's model, from random weights."""
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.pop('init_cfg', None)
    return MODELS.build(cfg.model)


def dataset_name(path):
    stem = path.stem.replace('-pseudo', '')
    return next(name for name in DETECTION_LAYOUTS if f'_{name}' in stem)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_model_and_data_fit_each_other(path):
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    layout = DETECTION_LAYOUTS[dataset_name(path)]
    heads = cfg.model.roi_head.bbox_head if 'roi_head' in cfg.model else cfg.model.bbox_head
    heads = heads if isinstance(heads, list) else [heads]
    assert {head.num_classes for head in heads} == {len(layout.categories)}
    sides = dict(fused='fused', visible='visible', infrared='infrared')
    side = next((side for name, side in sides.items() if path.stem.endswith(name)), 'visible')
    paired = cfg.model.backbone.get('num_sources') == 2
    splits = dict(train='train', val=[split for split in layout.splits if split != 'train'][0])
    splits['test'] = splits['val']
    for phase, split in splits.items():
        config = cfg[f'{phase}_dataloader'].dataset
        dataset = DATASETS.build({**config, 'lazy_init': True})
        assert dataset.metainfo['classes'] == layout.categories
        assert len(dataset.metainfo['palette']) == len(layout.categories)
        assert config.ann_file == f'annotations/{side}_{split}.json' and config.data_prefix == dict(img='')
        types = [step['type'] for step in config.pipeline]
        assert ('mmdefusion.LoadPairedImage' in types) == paired
        if phase != 'train' and 'ann_file' in cfg[f'{phase}_evaluator']:
            assert cfg[f'{phase}_evaluator'].ann_file == config.data_root + config.ann_file
    assert cfg.model.data_preprocessor.type == (
        'mmdefusion.PairedDetDataPreprocessor' if paired else 'DetDataPreprocessor'
    )
    model = build(cfg)
    assert getattr(model.backbone, 'num_sources', 1) == 1 + paired
    if path.parent == ROOT:
        checkpoint = cfg.default_hooks.checkpoint
        assert (checkpoint.type, checkpoint.save_best) == ('mmdefusion.AtomicCheckpointHook', 'coco/bbox_mAP')
        assert [hook.type for hook in cfg.custom_hooks][-1] == 'mmdefusion.StopOnInvalidLossHook'
    # The small models of the tables are tested as they are trained.
    assert ('tta_pipeline' in cfg) == (path.parent == ROOT)
    if 'tta_pipeline' in cfg:
        assert ('mmdefusion.LoadPairedImage' in [step['type'] for step in cfg.tta_pipeline]) == paired
        assert cfg.tta_model.type == 'DetTTAModel'
    METRICS.build({**cfg.val_evaluator, 'ann_file': None})
    for hook in cfg.get('custom_hooks') or []:
        HOOKS.build(hook)


@pytest.mark.parametrize(
    ('name', 'sources'),
    [
        ('faster-rcnn_defusion-tiny_1x_msrs', 2),
        ('retinanet_defusion-tiny_1x_msrs', 2),
        ('rtmdet-s_defusion-tiny_8xb32-300e_msrs', 2),
        ('faster-rcnn_defusion-tiny_1x_msrs-infrared', 1),
        ('faster-rcnn_r50_fpn_1x_msrs-fused', 1),
    ],
)
def test_views_of_time_augmentation(name, sources, pair_folder, check_views):
    cfg = Config.fromfile(ROOT / f'{name}.py')
    init_default_scope(cfg.default_scope)
    box = dict(bbox=[1, 2, 30, 40], bbox_label=1, ignore_flag=0)
    views = Compose(cfg.tta_pipeline)(dict(img_path=str(pair_folder / 'vi/1.png'), img_id=1, instances=[box]))
    check_views(views['inputs'], [(480, 360), (640, 480), (800, 600)], sources)
    assert [sample.flip for sample in views['data_samples']] == [False, True] * 3
    assert views['data_samples'][0].scale_factor == (6, 6)


def test_every_detector_is_there_for_every_dataset():
    names = {str(path.relative_to(ROOT)) for path in CONFIGS}
    for dataset in DETECTION_LAYOUTS:
        assert {name.format(dataset) for name in (*DETECTORS.values(), NANO)} <= names
        for variant in ('visible', 'infrared'):
            assert f'faster-rcnn_defusion-tiny_1x_{dataset}-{variant}.py' in names
        assert f'faster-rcnn_r50_fpn_1x_{dataset}-fused.py' in names


@pytest.mark.parametrize('detector', DETECTORS)
def test_only_what_the_pair_needs_differs_from_the_stock_config(detector):
    cfg = Config.fromfile(ROOT / DETECTORS[detector].format('llvip'))
    stock = get_config(_stock_name(detector))
    model, stock_model = plain(cfg.model), plain(stock.model)
    changed = {key for key in model if model[key] != stock_model.get(key)}
    assert changed == {'data_preprocessor', 'backbone', 'neck', 'roi_head' if 'roi_head' in cfg.model else 'bbox_head'}
    adapted = dict.fromkeys(('in_channels', 'start_level'))
    assert {**model['neck'][1], **adapted} == {**stock_model['neck'], **adapted}
    for key in ('train_cfg', 'param_scheduler'):
        assert plain(cfg[key]) == plain(stock[key])


def plain(value):
    """A config without the scopes that inheritance from another library writes into it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key != '_scope_'}
    return [plain(item) for item in value] if isinstance(value, list) else value


def _stock_name(detector):
    return re.search(r"'(mmdet::\S+\.py)'", (ROOT / DETECTORS[detector].format('llvip')).read_text())[1]


@pytest.mark.parametrize(
    ('name', 'sources'),
    [
        *((name.format('m3fd'), 2) for name in (*DETECTORS.values(), NANO)),
        ('faster-rcnn_defusion-tiny_1x_m3fd-visible.py', 1),
        ('faster-rcnn_r50_fpn_1x_m3fd-fused.py', 1),
    ],
)
def test_detectors_train_and_predict(name, sources):
    from mmdet.structures import DetDataSample

    cfg = Config.fromfile(ROOT / name)
    if name.startswith('dino'):
        cfg.model.num_queries, cfg.model.test_cfg.max_per_img = 20, 50
    # Wide layers only take time.
    for head in [cfg.model.get('roi_head', {}).get('bbox_head', [])]:
        for part in head if isinstance(head, list) else [head]:
            part.fc_out_channels = 16
    if 'arch' in cfg.model.backbone:
        cfg.model.backbone.arch = dict(base=cfg.model.backbone.arch, depth=1)
    model = build(cfg).train()
    model.init_weights()
    # As random resizing leaves them, of no particular size.
    image = torch.randint(0, 256, (3 * sources, 72, 104), dtype=torch.uint8)
    shape = dict(img_shape=(72, 104), ori_shape=(72, 104), scale_factor=(1.0, 1.0))
    make_sample = partial(DetDataSample, metainfo=shape)
    sample = make_sample()
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[8.0, 8.0, 40.0, 56.0]]), labels=torch.tensor([2]))
    data = model.data_preprocessor(dict(inputs=[image], data_samples=[sample]), training=True)
    losses, _ = model.parse_losses(model(**data, mode='loss'))
    assert torch.isfinite(losses) and losses > 0
    losses.backward()
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    # Otherwise a run on several processes stops: such parameters need find_unused_parameters.
    unused = [name for name, value in trained.items() if value.grad is None]
    assert [name for name in unused if name.startswith(('backbone', 'neck'))] == []
    before = {name: value.detach().clone() for name, value in trained.items()}
    build_optim_wrapper(model, cfg.optim_wrapper).step()
    moved = {name.split('.')[0] for name, value in trained.items() if not torch.equal(value, before[name])}
    assert moved >= {'backbone', 'neck', 'roi_head' if 'roi_head' in cfg.model else 'bbox_head'}
    with torch.no_grad():
        (predicted,) = model.eval().test_step(dict(inputs=[image], data_samples=[make_sample()]))
    boxes = predicted.pred_instances.bboxes
    assert boxes.shape[1] == 4 and torch.isfinite(boxes).all()


@pytest.mark.parametrize('dataset', DETECTION_LAYOUTS)
def test_a_detector_starts_from_the_weights_of_the_package(dataset):
    cfg = Config.fromfile(ROOT / NANO.format(dataset))
    init_default_scope(cfg.default_scope)
    backbone = MODELS.build(cfg.model.backbone)
    backbone.init_weights()
    published = torch.load(shipped_weights('backbone'), weights_only=True)['state_dict']
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, published[f'backbone.{key}'].float()), key
