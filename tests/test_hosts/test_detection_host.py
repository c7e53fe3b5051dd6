# Copyright (c) mmdefusion authors. All rights reserved.
"""What MMDetection does with one image it does with a pair: each of its features once."""

import copy
import importlib.util
import json
import pickle
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner

from mmdefusion.engine import AutocastOptimWrapper

pytest.importorskip('mmdet.apis')

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.smoke


@pytest.fixture(scope='module')
def config_path(det_config_text, tmp_path_factory):
    path = tmp_path_factory.mktemp('detector') / 'tiny_detector.py'
    path.write_text(det_config_text)
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


def test_pretrained_weights_arrive(config_path, check_handover, tmp_path):
    check_handover(load_config(config_path, tmp_path / 'det_handover'))


def test_best_checkpoint(trained):
    validations = [entry for entry in scalars(trained.work_dir) if 'coco/bbox_mAP_50' in entry]
    best = max(validations, key=lambda entry: entry['coco/bbox_mAP_50'])['step']
    names = [path.name for path in Path(trained.work_dir).glob('best_*')]
    assert names == [f'best_coco_bbox_mAP_50_epoch_{best}.pth']


def test_test_repeats_the_last_validation(trained, checkpoint, config_path, tmp_path):
    metrics = Runner.from_cfg(load_config(config_path, tmp_path / 'det_test', load_from=checkpoint)).test()
    last = [entry for entry in scalars(trained.work_dir) if 'coco/bbox_mAP' in entry][-1]
    assert metrics['coco/bbox_mAP'] == pytest.approx(last['coco/bbox_mAP'], abs=1e-3)


def test_test_tool_writes_boxes_and_pictures(trained, checkpoint, config_path, sample, read_tool_config, tmp_path):
    outputs = ('--out', tmp_path / 'boxes.pkl', '--show-dir', 'seen')
    cfg = read_tool_config('test', config_path, checkpoint, '--work-dir', tmp_path / 'det_outputs', *outputs)
    cfg.experiment_name = cfg.visualizer.name = 'det_outputs'
    Runner.from_cfg(cfg).test()
    first, second = pickle.loads((tmp_path / 'boxes.pkl').read_bytes())
    torch.testing.assert_close(first['pred_instances']['bboxes'], predict(trained.model, sample).bboxes)
    assert Path(second['img_path']).name == '1.png'
    assert sorted(path.name for path in (tmp_path / 'det_outputs').glob('*/seen/*')) == ['0.png', '1.png']
    with pytest.raises(SystemExit, match="--out-dir is for models that fuse images; .* has default_scope 'mmdet'"):
        read_tool_config('test', config_path, checkpoint, '--out-dir', tmp_path)


def test_both_sources_matter(trained, sample):
    boxes = predict(trained.model, sample).bboxes
    for source in (slice(0, 3), slice(3, 6)):
        changed = copy.deepcopy(sample)
        changed['inputs'] = sample['inputs'].clone()
        changed['inputs'][source] = 0
        other = predict(trained.model, changed).bboxes
        assert other.shape != boxes.shape or not torch.equal(other, boxes)


@pytest.mark.parametrize('background', ['visible', 'partner', 'fused'])
def test_visualization_hook_draws_on_the_chosen_image(checkpoint, config_path, det_pairs, tmp_path, background):
    changes = {'visualizer.background': background, 'test_dataloader.dataset.indices': 1}
    if background == 'fused':
        fusion = Config.fromfile(ROOT / 'configs/_base_/models/classical.py').model
        changes['visualizer.fuser'] = dict(model=dict(model={**fusion, 'method': 'maximum'}), color='gray')
    work_dir = tmp_path / f'det_{background}'
    changes['default_hooks.visualization.test_out_dir'] = 'seen'
    Runner.from_cfg(load_config(config_path, work_dir, load_from=checkpoint, **changes)).test()
    (path,) = work_dir.glob('*/seen/*.png')
    picture = cv2.imread(str(path))
    sources = [cv2.imread(str(det_pairs / side / '0.png')) for side in ('vi', 'ir')]
    if background == 'fused':
        lumas = [cv2.cvtColor(source, cv2.COLOR_BGR2GRAY) for source in sources]
        expected = np.repeat(np.maximum(*lumas)[..., None], 3, axis=2)
    else:
        expected = sources[background == 'partner']
    # Labels on the left, predictions above an impossible score on the right.
    assert picture.shape == (64, 128, 3)
    assert np.abs(picture[:, 64:].astype(int) - expected).max() <= 1


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


def test_slices_of_a_large_image(checkpoint, config_path, det_pairs, monkeypatch):
    from mmdet.apis import inference_detector, init_detector
    from mmdet.utils import large_image

    def shift_boxes(boxes, offset):
        return boxes + boxes.new_tensor([*offset, *offset])

    if importlib.util.find_spec('sahi') is None:
        # Of this package, mmdet takes these two functions only.
        monkeypatch.setitem(sys.modules, 'sahi', ModuleType('sahi'))
        slicing = ModuleType('sahi.slicing')
        slicing.shift_bboxes, slicing.shift_masks = shift_boxes, None
        monkeypatch.setitem(sys.modules, 'sahi.slicing', slicing)

    detector = init_detector(str(config_path), checkpoint, device='cpu')
    array = np.concatenate([cv2.imread(str(det_pairs / side / '1.png')) for side in ('vi', 'ir')], axis=2)
    nms = dict(type='nms', iou_threshold=0.5)

    def detect(*lefts, width):
        found = inference_detector(detector, [array[:, left : left + width] for left in lefts])
        merged = large_image.merge_results_by_nms(found, [(left, 0) for left in lefts], (64, 64), nms)
        return merged.pred_instances, [result.pred_instances for result in found]

    whole = inference_detector(detector, array).pred_instances
    one_slice, _ = detect(0, width=64)
    assert len(whole) == 10
    for key in ('bboxes', 'scores', 'labels'):
        torch.testing.assert_close(one_slice[key], whole[key])
    merged, (left, right) = detect(0, 32, width=32)
    best = left if left.scores.max() >= right.scores.max() else right
    expected = best.bboxes[best.scores.argmax()] + 32 * (best is right) * torch.tensor([1.0, 0.0, 1.0, 0.0])
    torch.testing.assert_close(merged.bboxes[merged.scores.argmax()], expected)
    assert merged.bboxes[:, 2].max() > 32 > merged.bboxes[:, 0].min()


def test_inferencer_takes_a_path_a_dict_or_an_array(trained, checkpoint, config_path, det_pairs, tmp_path):
    from mmdet.apis import DetInferencer

    path = tmp_path / 'inferencer.py'
    Config.fromfile(config_path).dump(path)
    inferencer = DetInferencer(str(path), checkpoint, device='cpu', show_progress=False)
    visible, infrared = (str(det_pairs / side / '1.png') for side in ('vi', 'ir'))
    array = np.concatenate([cv2.imread(visible), cv2.imread(infrared)], axis=2)
    expected = predict(trained.model, trained.val_dataloader.dataset[1])
    # Names from which no partner follows.
    moved = dict(img_path=str(tmp_path / 'left.png'), partner_path=str(tmp_path / 'right.png'))
    for source, target in zip((visible, infrared), moved.values(), strict=True):
        shutil.copyfile(source, target)
    for given in (visible, moved, array):
        (found,) = inferencer(given)['predictions']
        np.testing.assert_allclose(found['bboxes'], expected.bboxes, atol=1e-3)
        np.testing.assert_allclose(found['scores'], expected.scores, atol=1e-4)
        (picture,) = inferencer(given, return_vis=True, pred_score_thr=2.0)['visualization']
        np.testing.assert_array_equal(picture, array[..., 2::-1])
    with pytest.raises(ValueError, match='no path has no partner|img_path'):
        inferencer(array[..., :3])


def test_inferencer_in_a_process_of_its_own(checkpoint, config_path, det_pairs, run_host_tool):
    arguments = f"{str(config_path)!r}, {checkpoint!r}, device='cpu', show_progress=False"
    code = f'import mmdefusion; from mmdet.apis import DetInferencer; inferencer = DetInferencer({arguments}); '
    code += f"print('boxes:', len(inferencer({str(det_pairs / 'vi/1.png')!r})['predictions'][0]['bboxes']))"
    assert 'boxes: 10' in run_tool(run_host_tool, '-c', code)


def run_tool(run, *command, **variables):
    result = run('python', *command, **variables)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def test_get_flops(config_path, run_host_tool, count_flops, trained):
    output = run_tool(run_host_tool, ROOT / 'tools/analysis_tools/get_flops.py', config_path, '--shape', '128', '160')
    assert 'input: 2 x (3, 128, 160)' in output
    params = sum(parameter.numel() for parameter in trained.model.parameters())
    assert f'params: {params / 1e6:.3f} M' in output
    # The tool leaves a part of the attention out, and takes norms in: each is a few percent.
    (flops,) = re.findall(r'flops: ([0-9.]+) G', output)
    assert float(flops) * 1e9 == pytest.approx(count_flops(trained.model, 128, 160), rel=0.04)


def test_browse_dataset(config_path, run_host_tool, det_pairs, tmp_path):
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
        mirrored = cv2.resize(cv2.imread(str(det_pairs / f'ir/{index}.png'))[:, ::-1], (128, 128))
        drawn = np.abs(cv2.imread(str(path)).astype(int) - mirrored).max(axis=2) > 8
        # The box lies around the warm square, with its name inside.
        rows, columns = (np.flatnonzero((mirrored[..., 0] > 125).any(axis=axis)) for axis in (1, 0))
        for edge in (drawn[rows[[0, -1]]][:, columns], drawn[rows][:, columns[[0, -1]]].T):
            assert edge.mean(axis=1).min() > 0.9
        drawn[rows[0] - 2 : rows[-1] + 3, columns[0] - 2 : columns[-1] + 3] = False
        assert not drawn.any()


def test_amp_and_resume(config_path, train_with_flags, tmp_path):
    flags = ('--work-dir', tmp_path, '--amp', '--cfg-options', 'default_hooks.visualization.draw=False')
    first = train_with_flags(config_path, *flags, 'train_cfg.max_epochs=1')
    assert isinstance(first.optim_wrapper, AutocastOptimWrapper) and first.optim_wrapper.dtype == torch.bfloat16
    dtypes = []
    with first.optim_wrapper.optim_context(first.model):
        handle = first.model.bbox_head.register_forward_hook(lambda module, args, outputs: dtypes.append(outputs))
        first.model.bbox_head(first.model.extract_feat(torch.rand(1, 6, 64, 64)))
        handle.remove()
    assert dtypes[0][0][0].dtype == torch.bfloat16
    second = train_with_flags(config_path, '--resume', *flags)
    assert (second.epoch, second.iter) == (2, 2)
    # The optimizer goes on too: two steps are counted.
    assert {int(state['step']) for state in second.optim_wrapper.optimizer.state.values()} == {2}


def test_heads_first_in_two_processes(config_path, pretraining, run_host_tool, free_port, tmp_path):
    """The backbone is what it was pretrained to be after the first epoch, and not after the second."""
    config = tmp_path / 'heads_first.py'
    config.write_text(
        f"""
_base_ = {str(config_path)!r}
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint={pretraining.checkpoint!r}, prefix='backbone.')))
custom_hooks = [dict(type='mmdefusion.FreezeBackboneHook', end=1)]
find_unused_parameters = True
train_dataloader = dict(batch_size=1)
train_cfg = dict(max_epochs=2)
"""
    )
    result = run_host_tool(
        *('bash', ROOT / 'tools/dist_train.sh', config, '2', '--work-dir', tmp_path / 'dist'),
        PORT=free_port,
        PYTHON=sys.executable,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    first, second = (
        torch.load(tmp_path / f'dist/epoch_{epoch}.pth', weights_only=False)['state_dict'] for epoch in (1, 2)
    )
    start = {f'backbone.{name}': value for name, value in pretraining.averaged.items()}
    assert not [name for name, value in start.items() if not torch.equal(first[name], value)]
    # The loss of two pairs is not about all of it.
    assert sum(not torch.equal(second[name], value) for name, value in start.items()) > len(start) / 2


def test_two_processes(config_path, run_host_tool, free_port, tmp_path):
    result = run_host_tool(
        *('bash', ROOT / 'tools/dist_train.sh', config_path, '2', '--work-dir', tmp_path / 'dist'),
        *('--cfg-options', 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=1'),
        PORT=free_port,
        PYTHON=sys.executable,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert 'GPU number: 2' in result.stdout + result.stderr
    assert len([entry for entry in scalars(tmp_path / 'dist') if 'loss' in entry]) == 1
    assert (tmp_path / 'dist/epoch_1.pth').exists()
