# Copyright (c) mmdefusion authors. All rights reserved.
"""What MMDetection does with one image it does with a pair: each of its features once."""

import copy
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner

from mmdefusion.datasets.converters import DETECTION_LAYOUTS, convert_split
from mmdefusion.engine import AutocastOptimWrapper
from mmdefusion.testing import TINY_ARCH

pytest.importorskip('mmdet.apis')

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.smoke

CONFIG = """
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


@pytest.fixture(scope='module')
def pairs(tmp_path_factory):
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
    layout = DETECTION_LAYOUTS['msrs']
    sides = dict(visible='vi/{name}.png', infrared='ir/{name}.png', labels='masks/{name}.png')
    convert_split(root, 'train', replace(layout.splits['train'], **sides), layout.categories, root / 'annotations')
    return root


@pytest.fixture(scope='module')
def config_path(pairs, tmp_path_factory):
    path = tmp_path_factory.mktemp('detector') / 'tiny_detector.py'
    path.write_text(CONFIG.format(root=pairs, arch=TINY_ARCH))
    return path


def load_config(path, work_dir, **changes):
    cfg = Config.fromfile(path)
    cfg.work_dir = str(work_dir)
    # Instances are found by name, and one process runs several configs here.
    cfg.experiment_name = cfg.visualizer.name = Path(work_dir).name
    cfg.merge_from_dict(changes)
    return cfg


@pytest.fixture(scope='module')
def trained(config_path, tmp_path_factory):
    """A trained runner."""
    runner = Runner.from_cfg(load_config(config_path, tmp_path_factory.mktemp('trained_detector')))
    runner.train()
    return runner


@pytest.fixture(scope='module')
def checkpoint(trained):
    return str(Path(trained.work_dir) / 'epoch_2.pth')


@pytest.fixture
def sample(trained):
    return copy.deepcopy(trained.val_dataloader.dataset[0])


def scalars(work_dir):
    (path,) = Path(work_dir).glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def predict(model, sample):
    with torch.no_grad():
        (predicted,) = model.eval().test_step(pseudo_collate([copy.deepcopy(sample)]))
    return predicted.pred_instances


def test_train_and_val(trained):
    log = scalars(trained.work_dir)
    losses = [entry['loss'] for entry in log if 'loss' in entry]
    assert len(losses) == 2 and all(0 < loss < 5 for loss in losses)
    assert [entry['step'] for entry in log if 'coco/bbox_mAP_50' in entry] == [1, 2]
    first, second = (
        torch.load(Path(trained.work_dir) / f'epoch_{epoch}.pth', weights_only=True)['state_dict'] for epoch in (1, 2)
    )
    same = [name for name, value in first.items() if torch.equal(value, second[name])]
    assert not set(same) & set(dict(trained.model.named_parameters()))
    rates = {group['lr'] for group in trained.optim_wrapper.param_groups}
    assert sorted(rates) == pytest.approx([1e-3 * 0.5**power for power in (5, 4, 3, 2, 1, 0)])


def test_best_checkpoint(trained):
    validations = [entry for entry in scalars(trained.work_dir) if 'coco/bbox_mAP_50' in entry]
    best = max(validations, key=lambda entry: entry['coco/bbox_mAP_50'])['step']
    names = [path.name for path in Path(trained.work_dir).glob('best_*')]
    assert names == [f'best_coco_bbox_mAP_50_epoch_{best}.pth']


def test_test_repeats_the_last_validation(trained, checkpoint, config_path, tmp_path):
    metrics = Runner.from_cfg(load_config(config_path, tmp_path / 'det_test', load_from=checkpoint)).test()
    last = [entry for entry in scalars(trained.work_dir) if 'coco/bbox_mAP' in entry][-1]
    assert metrics['coco/bbox_mAP'] == pytest.approx(last['coco/bbox_mAP'], abs=1e-3)


def test_both_sources_matter(trained, sample):
    boxes = predict(trained.model, sample).bboxes
    for source in (slice(0, 3), slice(3, 6)):
        changed = copy.deepcopy(sample)
        changed['inputs'] = sample['inputs'].clone()
        changed['inputs'][source] = 0
        other = predict(trained.model, changed).bboxes
        assert other.shape != boxes.shape or not torch.equal(other, boxes)


@pytest.mark.parametrize('background', ['visible', 'partner'])
def test_visualization_hook_draws_on_the_chosen_image(checkpoint, config_path, pairs, tmp_path, background):
    changes = {'visualizer.background': background, 'test_dataloader.dataset.indices': 1}
    work_dir = tmp_path / f'det_{background}'
    changes['default_hooks.visualization.test_out_dir'] = 'seen'
    Runner.from_cfg(load_config(config_path, work_dir, load_from=checkpoint, **changes)).test()
    (path,) = work_dir.glob('*/seen/*.png')
    picture = cv2.imread(str(path))
    source = cv2.imread(str(pairs / ('vi' if background == 'visible' else 'ir') / '0.png'))
    # Labels on the left, predictions above an impossible score on the right.
    assert picture.shape == (64, 128, 3)
    assert np.abs(picture[:, 64:].astype(int) - source).max() <= 1


def test_time_augmentation_merges_mirror_images(checkpoint, config_path, read_tool_config, tmp_path):
    cfg = read_tool_config('test', config_path, checkpoint, '--tta', '--work-dir', tmp_path / 'det_tta')
    cfg.experiment_name = cfg.visualizer.name = 'det_tta'
    runner = Runner.from_cfg(cfg)
    assert -1 <= runner.test()['coco/bbox_mAP'] <= 1
    augmented = runner.test_dataloader.dataset[0]
    assert torch.equal(augmented['inputs'][0].flip(-1), augmented['inputs'][1])
    merged = predict(runner.model, augmented)
    views = [
        predict(runner.model.module, dict(inputs=image, data_samples=view))
        for image, view in zip(augmented['inputs'], augmented['data_samples'], strict=True)
    ]
    # The best box of each view, mirrored back, is among the merged ones unless a better one lies over it.
    plain, mirrored = (view.bboxes[view.scores.argmax()] for view in views)
    mirrored = torch.stack([64 - mirrored[2], mirrored[1], 64 - mirrored[0], mirrored[3]])
    best = plain if views[0].scores.max() >= views[1].scores.max() else mirrored
    torch.testing.assert_close(merged.bboxes[merged.scores.argmax()], best, atol=1e-2, rtol=1e-3)


def test_inferencer_takes_a_path_or_an_array(trained, checkpoint, config_path, pairs, tmp_path):
    from mmdet.apis import DetInferencer

    path = tmp_path / 'inferencer.py'
    Config.fromfile(config_path).dump(path)
    inferencer = DetInferencer(str(path), checkpoint, device='cpu', show_progress=False)
    visible, infrared = (str(pairs / side / '1.png') for side in ('vi', 'ir'))
    array = np.concatenate([cv2.imread(visible), cv2.imread(infrared)], axis=2)
    expected = predict(trained.model, trained.val_dataloader.dataset[1])
    for given in (visible, array):
        (found,) = inferencer(given)['predictions']
        np.testing.assert_allclose(found['bboxes'], expected.bboxes, atol=1e-3)
        np.testing.assert_allclose(found['scores'], expected.scores, atol=1e-4)
        (picture,) = inferencer(given, return_vis=True, pred_score_thr=2.0)['visualization']
        np.testing.assert_array_equal(picture, array[..., 2::-1])
    with pytest.raises(ValueError, match='no path has no partner|img_path'):
        inferencer(array[..., :3])


def run_tool(run, *command, **variables):
    result = run('python', *command, **variables)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def test_get_flops(config_path, run_host_tool, trained):
    output = run_tool(run_host_tool, ROOT / 'tools/analysis_tools/get_flops.py', config_path, '--shape', '64', '64')
    assert 'input: 2 x (3, 64, 64)' in output
    params = sum(parameter.numel() for parameter in trained.model.parameters())
    assert f'params: {params / 1e6:.3f} M' in output


def test_browse_dataset(config_path, run_host_tool, pairs, tmp_path):
    """Boxes lie on what the pipeline made of the partner, not on its file."""
    config = tmp_path / 'browsed.py'
    config.write_text(f"""
_base_ = '{config_path}'
val_dataloader = dict(dataset=dict(pipeline=[
    *_base_.load_pair, dict(type='LoadAnnotations', with_bbox=True), dict(type='RandomFlip', prob=1.0),
    dict(type='Resize', scale=(128, 128)), dict(type='PackDetInputs')]))
visualizer = dict(background='partner', line_width=2)
""")
    tool = ROOT / 'tools/analysis_tools/browse_dataset.py'
    run_tool(run_host_tool, tool, config, '-o', tmp_path / 'seen', '--not-show', '-n', '2', '--phase', 'val')
    pictures = sorted((tmp_path / 'seen').iterdir())
    assert [path.name for path in pictures] == ['00000_0.png', '00001_1.png']
    for index, path in enumerate(pictures):
        mirrored = cv2.resize(cv2.imread(str(pairs / f'ir/{index}.png'))[:, ::-1], (128, 128))
        drawn = np.abs(cv2.imread(str(path)).astype(int) - mirrored).max(axis=2) > 8
        # The box lies around the warm square, with its name inside.
        rows, columns = (np.flatnonzero((mirrored[..., 0] > 125).any(axis=axis)) for axis in (1, 0))
        for edge in (drawn[rows[[0, -1]]][:, columns], drawn[rows][:, columns[[0, -1]]].T):
            assert edge.mean(axis=1).min() > 0.9
        drawn[rows[0] - 2 : rows[-1] + 3, columns[0] - 2 : columns[-1] + 3] = False
        assert not drawn.any()


def train_with_flags(read_tool_config, config_path, *flags):
    """Trains as tools/train.py does, in this process."""
    cfg = read_tool_config('train', config_path, *flags)
    cfg.experiment_name = cfg.visualizer.name = f'flags_{time.time()}'
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def test_amp_and_resume(config_path, read_tool_config, tmp_path):
    flags = ('--work-dir', tmp_path, '--amp', '--cfg-options', 'default_hooks.visualization.draw=False')
    first = train_with_flags(read_tool_config, config_path, *flags, 'train_cfg.max_epochs=1')
    assert isinstance(first.optim_wrapper, AutocastOptimWrapper) and first.optim_wrapper.dtype == torch.bfloat16
    dtypes = []
    with first.optim_wrapper.optim_context(first.model):
        handle = first.model.bbox_head.register_forward_hook(lambda module, args, outputs: dtypes.append(outputs))
        first.model.bbox_head(first.model.extract_feat(torch.rand(1, 6, 64, 64)))
        handle.remove()
    assert dtypes[0][0][0].dtype == torch.bfloat16
    second = train_with_flags(read_tool_config, config_path, '--resume', *flags)
    assert (second.epoch, second.iter) == (2, 2)
    # The optimizer goes on too: two steps are counted.
    assert {int(state['step']) for state in second.optim_wrapper.optimizer.state.values()} == {2}


def test_two_processes(config_path, run_host_tool, free_port, tmp_path):
    result = run_host_tool(
        *('bash', ROOT / 'tools/dist_train.sh', config_path, '2', '--work-dir', tmp_path / 'dist'),
        *('--cfg-options', 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=1'),
        PORT=free_port,
        PYTHON=sys.executable,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert len([entry for entry in scalars(tmp_path / 'dist') if 'loss' in entry]) == 1
    assert (tmp_path / 'dist/epoch_1.pth').exists()
