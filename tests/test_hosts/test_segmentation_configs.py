# Copyright (c) mmdefusion authors. All rights reserved.
from functools import partial
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, HOOKS, MODELS, VISUALIZERS, init_default_scope
from mmengine.structures import PixelData

from mmdefusion.weights import shipped_weights

pytest.importorskip('mmseg.models')

ROOT = Path(__file__).resolve().parents[2] / 'configs/mmseg'
CONFIGS = sorted(ROOT.rglob('*.py'))
FOLDERS = {'-infrared': 'ir', '-fused': 'fused'}
HEADS = ('upernet', 'segformer-head', 'fpn', 'mask2former')
CLASSES = dict(msrs=9, mfnet=9, fmb=14, pst900=5)


def build(cfg):
    """The config's model without weights, SyncBN made plain."""
    init_default_scope(cfg.default_scope)
    for part in (cfg.model, cfg.model.backbone):
        part.pop('init_cfg', None)
        part.pop('pretrained', None)
    return revert_sync_batchnorm(MODELS.build(cfg.model)).eval()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_model_and_data_fit_each_other(path):
    cfg = Config.fromfile(path)
    if 'mask2former' in path.name:
        pytest.importorskip('mmdet.models')
    model = build(cfg)
    name = path.stem.split('_')[3].split('-')[0]
    folder = next((side for variant, side in FOLDERS.items() if variant in path.stem), 'vi')
    for phase in ('train', 'val', 'test'):
        dataset = DATASETS.build({**cfg[f'{phase}_dataloader'].dataset, 'lazy_init': True})
        assert len(dataset.metainfo['classes']) == len(dataset.metainfo['palette']) == model.decode_head.num_classes
        if path.parent == ROOT:
            split = 'test' if phase == 'val' and name != 'mfnet' else phase
            expected = dict(img_path=f'{split}/{folder}', seg_map_path=f'{split}/labels')
            config = cfg[f'{phase}_dataloader'].dataset
            assert (config.data_root, config.data_prefix) == (f'data/{name}/', expected)
        types = [step['type'] for step in cfg[f'{phase}_dataloader'].dataset.pipeline]
        paired = 'mmdefusion.LoadPairedImage' in types
        assert paired == (getattr(model.backbone, 'num_sources', 1) == 2)
        assert paired == hasattr(model.data_preprocessor, 'bgr_to_rgb')  # the paired preprocessor's own attribute
    # The small models of the tables are tested as they are trained.
    assert ('tta_pipeline' in cfg) == (path.parent == ROOT)
    if 'tta_pipeline' in cfg:
        assert ('mmdefusion.LoadPairedImage' in [step['type'] for step in cfg.tta_pipeline]) == paired
        assert cfg.tta_model.type == 'SegTTAModel'
        assert (cfg.visualizer.type == 'mmdefusion.PairedSegLocalVisualizer') == paired
        visualizer = VISUALIZERS.build({**cfg.visualizer, 'name': path.name, 'vis_backends': None})
        if paired:
            load_pair = cfg.test_dataloader.dataset.pipeline[1]
            assert visualizer.load_pair.path_map == tuple(load_pair.path_map)
    assert model.decode_head.num_classes == CLASSES[name]
    assert cfg.train_dataloader.dataset.get('reduce_zero_label', False) == (name == 'fmb')
    if path.parent == ROOT:
        checkpoint = cfg.default_hooks.checkpoint
        assert (checkpoint.type, checkpoint.by_epoch) == ('mmdefusion.AtomicCheckpointHook', False)
        assert (checkpoint.interval, checkpoint.save_best) == (4000, 'mIoU')
        assert cfg.default_hooks.invalid_loss.type == 'mmdefusion.StopOnInvalidLossHook'
        assert all(HOOKS.build({**hook}) for hook in cfg.default_hooks.values())
    if 'fused' not in path.name:
        assert model.data_preprocessor.size == cfg.crop_size
        # Test-time augmentation takes the top-level one.
        assert cfg.get('data_preprocessor', cfg.model.data_preprocessor) == cfg.model.data_preprocessor


def test_every_segmentor_is_there_for_every_dataset():
    names = {str(path.relative_to(ROOT)) for path in CONFIGS}
    listed = (ROOT / 'README.md').read_text() + (ROOT / 'metafile.yml').read_text()
    for dataset in CLASSES:
        size = '640x640' if dataset == 'pst900' else '480x640'
        expected = [f'defusion-tiny_{head}_4xb4-40k_{dataset}-{size}.py' for head in HEADS]
        expected += [f'defusion-tiny_upernet_4xb4-40k_{dataset}-{side}-{size}.py' for side in ('visible', 'infrared')]
        expected += [f'defusion-nano_upernet_4xb4-40k_{dataset}-{size}.py']
        expected += [f'upernet_r50_4xb4-40k_{dataset}-fused-{size}.py']
        assert set(expected) <= names
        assert all(f']({name})' in listed and f'configs/mmseg/{name}\n' in listed for name in expected)


@pytest.mark.parametrize(
    ('name', 'sources'),
    [
        ('defusion-tiny_upernet_4xb4-40k_msrs-480x640', 2),
        ('defusion-tiny_mask2former_4xb4-40k_msrs-480x640', 2),
        ('defusion-tiny_upernet_4xb4-40k_msrs-visible-480x640', 1),
        ('upernet_r50_4xb4-40k_msrs-fused-480x640', 1),
    ],
)
def test_views_of_time_augmentation(name, sources, pair_folder, check_views):
    cfg = Config.fromfile(ROOT / f'{name}.py')
    init_default_scope(cfg.default_scope)
    paths = dict(img_path=str(pair_folder / 'vi/1.png'), seg_map_path=str(pair_folder / 'labels/1.png'))
    views = Compose(cfg.tta_pipeline)(dict(**paths, seg_fields=[], label_map=None, reduce_zero_label=False))
    check_views(views['inputs'], [(60, 45), (80, 60), (100, 75)], sources)
    for sample in views['data_samples']:
        assert sample.gt_sem_seg.data.shape == (1, 60, 80)  # whatever the size of the view


@pytest.mark.parametrize('head', HEADS)
def test_segmentors_take_a_pair(head):
    from mmseg.structures import SegDataSample

    if head == 'mask2former':
        pytest.importorskip('mmdet.models')
    cfg = Config.fromfile(ROOT / f'defusion-tiny_{head}_4xb4-40k_msrs-480x640.py')
    model = build(cfg)
    pair = torch.randint(0, 256, (6, 64, 96), dtype=torch.uint8)
    make_sample = partial(SegDataSample, metainfo=dict(ori_shape=(64, 96), img_shape=(64, 96)))
    with torch.no_grad():
        (sample,) = model.test_step(dict(inputs=[pair], data_samples=[make_sample()]))
        (swapped,) = model.test_step(dict(inputs=[pair.roll(3, dims=0)], data_samples=[make_sample()]))
    assert sample.pred_sem_seg.data.shape == (1, 64, 96)
    # Both sources are seen, and told apart.
    assert not torch.equal(sample.seg_logits.data, swapped.seg_logits.data)
    assert torch.isfinite(sample.seg_logits.data).all()


@pytest.mark.parametrize(
    ('name', 'sources'),
    [
        *((f'defusion-tiny_{head}_4xb4-40k_msrs-480x640', 2) for head in HEADS),
        ('defusion-nano_upernet_4xb4-40k_msrs-480x640', 2),
        ('defusion-tiny_upernet_4xb4-40k_msrs-infrared-480x640', 1),
        ('upernet_r50_4xb4-40k_msrs-fused-480x640', 1),
    ],
)
def test_segmentors_train(name, sources):
    from mmseg.structures import SegDataSample

    if 'mask2former' in name:
        pytest.importorskip('mmdet.models')
    cfg = Config.fromfile(ROOT / f'{name}.py')
    # Whole crops, wide heads and a deep backbone only take time.
    cfg.model.data_preprocessor.size = (64, 96)
    if 'upernet' in name:
        cfg.model.decode_head.channels = cfg.model.auxiliary_head.channels = 32
    if 'arch' in cfg.model.backbone:
        cfg.model.backbone.arch = dict(base=cfg.model.backbone.arch, depth=1)
    model = build(cfg).train()
    model.init_weights()
    samples = []
    for label in (1, 2):
        labels = torch.zeros(1, 64, 96, dtype=torch.long)
        labels[:, :32, :48] = label
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=labels)))
    images = [torch.randint(0, 256, (3 * sources, 64, 96), dtype=torch.uint8) for _ in samples]
    data = model.data_preprocessor(dict(inputs=images, data_samples=samples), training=True)
    losses, _ = model.parse_losses(model(**data, mode='loss'))
    assert torch.isfinite(losses) and losses > 0
    losses.backward()
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    # Otherwise a run on several processes stops: such parameters need find_unused_parameters.
    assert [name for name, value in trained.items() if value.grad is None] == []
    before = {name: value.detach().clone() for name, value in trained.items()}
    build_optim_wrapper(model, cfg.optim_wrapper).step()
    moved = {name.split('.')[0] for name, value in trained.items() if not torch.equal(value, before[name])}
    assert moved == {name.split('.')[0] for name in trained} >= {'backbone', 'decode_head'}


@pytest.mark.parametrize('dataset', CLASSES)
def test_a_segmentor_starts_from_the_weights_of_the_package(dataset):
    size = '640x640' if dataset == 'pst900' else '480x640'
    cfg = Config.fromfile(ROOT / f'defusion-nano_upernet_4xb4-40k_{dataset}-{size}.py')
    init_default_scope(cfg.default_scope)
    backbone = MODELS.build(cfg.model.backbone)
    backbone.init_weights()
    published = torch.load(shipped_weights('backbone'), weights_only=True)['state_dict']
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, published[f'backbone.{key}'].float()), key
