# Copyright (c) mmdefusion authors. All rights reserved.
"""What MMSegmentation does with one image it does with a pair: each of its features once."""

import copy
import json
import pickle
import re
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner

from mmdefusion.engine import AutocastOptimWrapper

pytest.importorskip('mmseg.apis')

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.smoke


@pytest.fixture(scope='module')
def config_path(seg_config_text, tmp_path_factory):
    path = tmp_path_factory.mktemp('segmentor') / 'tiny_segmentor.py'
    path.write_text(seg_config_text)
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
    runner = Runner.from_cfg(load_config(config_path, tmp_path_factory.mktemp('trained')))
    runner.train()
    return runner


@pytest.fixture(scope='module')
def checkpoint(trained):
    return str(Path(trained.work_dir) / 'iter_2.pth')


@pytest.fixture
def sample(trained):
    return trained.val_dataloader.dataset[0]


def scalars(work_dir):
    (path,) = Path(work_dir).glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def predict(model, *samples):
    with torch.no_grad():
        return model.eval().test_step(pseudo_collate([copy.deepcopy(sample) for sample in samples]))


def test_train_and_val(trained):
    log = scalars(trained.work_dir)
    losses = [entry['loss'] for entry in log if 'loss' in entry]
    assert len(losses) == 2 and all(0 < loss < 3 for loss in losses)
    assert [entry['step'] for entry in log if 'mIoU' in entry] == [1, 2]
    assert all(0 <= entry['mIoU'] <= 100 for entry in log if 'mIoU' in entry)
    first = torch.load(Path(trained.work_dir) / 'iter_1.pth', weights_only=True)['state_dict']
    second = torch.load(Path(trained.work_dir) / 'iter_2.pth', weights_only=True)['state_dict']
    same = [name for name, value in first.items() if torch.equal(value, second[name])]
    assert not [name for name in same if name in dict(trained.model.named_parameters())]


def test_pretrained_weights_arrive(config_path, check_handover, tmp_path):
    check_handover(load_config(config_path, tmp_path / 'seg_handover'))


def test_best_checkpoint(trained):
    validations = [entry for entry in scalars(trained.work_dir) if 'mIoU' in entry]
    best = max(validations, key=lambda entry: entry['mIoU'])['step']
    assert [path.name for path in Path(trained.work_dir).glob('best_*')] == [f'best_mIoU_iter_{best}.pth']


def test_test_repeats_the_last_validation(trained, checkpoint, config_path, tmp_path):
    metrics = Runner.from_cfg(load_config(config_path, tmp_path / 'test', load_from=checkpoint)).test()
    last = [entry for entry in scalars(trained.work_dir) if 'mIoU' in entry][-1]
    assert metrics['mIoU'] == pytest.approx(last['mIoU'], abs=1e-3)


def test_test_tool_writes_maps_and_pictures(trained, checkpoint, config_path, sample, read_tool_config, tmp_path):
    outputs = ('--out', tmp_path / 'maps.pkl', '--show-dir', 'seen')
    cfg = read_tool_config('test', config_path, checkpoint, '--work-dir', tmp_path / 'seg_outputs', *outputs)
    cfg.experiment_name = cfg.visualizer.name = 'seg_outputs'
    cfg.default_hooks.visualization.interval = 1
    Runner.from_cfg(cfg).test()
    dumped = pickle.loads((tmp_path / 'maps.pkl').read_bytes())
    (expected,) = predict(trained.model, sample)
    assert torch.equal(dumped[0]['pred_sem_seg']['data'], expected.pred_sem_seg.data)
    assert len(list((tmp_path / 'seg_outputs/seen').rglob('test_*.png'))) == len(dumped) == 4
    with pytest.raises(SystemExit, match="--out-dir is for models that fuse images; .* has default_scope 'mmseg'"):
        read_tool_config('test', config_path, checkpoint, '--out-dir', tmp_path)


@pytest.mark.parametrize('background', ['visible', 'partner', 'fused'])
def test_visualization_hook_draws_on_the_chosen_image(checkpoint, config_path, seg_pairs, tmp_path, background):
    changes = {'visualizer.background': background, 'test_dataloader.dataset.indices': 2}
    if background == 'fused':
        fusion = Config.fromfile(ROOT / 'configs/_base_/models/classical.py').model
        changes['visualizer.fuser'] = dict(model=dict(model={**fusion, 'method': 'maximum'}), color='gray')
    cfg = load_config(config_path, tmp_path / background, load_from=checkpoint, **changes)
    Runner.from_cfg(cfg).test()
    (path,) = (tmp_path / background).glob('*/vis_data/vis_image/test_0.png_*.png')
    # Labels on the left, predictions on the right, both transparent but for the names of the classes.
    picture = cv2.imread(str(path))
    sources = [cv2.imread(str(seg_pairs / side / '0.png')) for side in ('vi', 'ir')]
    if background == 'fused':
        lumas = [cv2.cvtColor(source, cv2.COLOR_BGR2GRAY) for source in sources]
        expected = np.repeat(np.maximum(*lumas)[..., None], 3, axis=2)
    else:
        expected = sources[background == 'partner']
    assert picture.shape == (64, 128, 3)
    assert np.abs(picture[:, :64].astype(int) - expected).max() <= 1


def test_time_augmentation_averages_over_mirror_images(
    trained, checkpoint, config_path, sample, read_tool_config, tmp_path
):
    cfg = read_tool_config('test', config_path, checkpoint, '--tta', '--work-dir', tmp_path / 'tta')
    cfg.experiment_name = cfg.visualizer.name = 'seg_tta'
    runner = Runner.from_cfg(cfg)
    assert 0 <= runner.test()['mIoU'] <= 100
    augmented = runner.test_dataloader.dataset[0]
    assert [tuple(pair.shape) for pair in augmented['inputs']] == [(6, 64, 64)] * 2
    assert torch.equal(augmented['inputs'][0].flip(-1), augmented['inputs'][1])
    (merged,) = predict(runner.model, augmented)
    mirrored = copy.deepcopy(sample)
    mirrored['inputs'] = mirrored['inputs'].flip(-1)
    plain, mirror = (predict(trained.model, item)[0].seg_logits.data.softmax(0) for item in (sample, mirrored))
    expected = (plain + mirror.flip(-1)).argmax(0)
    assert (merged.pred_sem_seg.data[0] == expected).float().mean() > 0.999


def test_time_augmentation_needs_views(config_path, read_tool_config, tmp_path):
    path = tmp_path / 'plain.py'
    path.write_text(config_path.read_text().replace('tta_pipeline', 'other_pipeline'))
    with pytest.raises(SystemExit, match='--tta needs a tta_pipeline, which .*plain.py does not have'):
        read_tool_config('test', path, '--tta')


def test_sliding_window(trained, config_path, sample, tmp_path):
    (whole,) = predict(trained.model, sample)
    trained.model.test_cfg.update(mode='slide', crop_size=(64, 64), stride=(64, 64))
    try:
        (one_window,) = predict(trained.model, sample)
        torch.testing.assert_close(one_window.seg_logits.data, whole.seg_logits.data)
        trained.model.test_cfg.update(crop_size=(64, 32), stride=(64, 32))
        (windows,) = predict(trained.model, sample)
    finally:
        trained.model.test_cfg.update(mode='whole')
    # Two windows that do not overlap: the left one is the segmentation of the left half.
    half = copy.deepcopy(sample)
    half['inputs'] = half['inputs'][..., :32].contiguous()
    half['data_samples'].set_metainfo(dict(ori_shape=(64, 32), img_shape=(64, 32), pad_shape=(64, 32)))
    (left,) = predict(trained.model, half)
    torch.testing.assert_close(windows.seg_logits.data[..., :32], left.seg_logits.data)


def test_inferencer_takes_a_path_a_dict_or_an_array(trained, checkpoint, config_path, seg_pairs, tmp_path):
    from mmseg.apis import MMSegInferencer

    cfg = Config.fromfile(config_path)
    path = tmp_path / 'inferencer.py'
    cfg.dump(path)
    inferencer = MMSegInferencer(str(path), checkpoint, device='cpu')
    visible, infrared = (str(seg_pairs / side / '1.png') for side in ('vi', 'ir'))
    array = np.concatenate([cv2.imread(visible), cv2.imread(infrared)], axis=2)
    expected = predict(trained.model, trained.val_dataloader.dataset[1])[0].pred_sem_seg.data[0].numpy()
    # Names from which no partner follows.
    moved = dict(img_path=str(tmp_path / 'left.png'), partner_path=str(tmp_path / 'right.png'))
    for source, target in zip((visible, infrared), moved.values(), strict=True):
        shutil.copyfile(source, target)
    for given in (visible, moved, array):
        np.testing.assert_array_equal(inferencer(given)['predictions'], expected)
    for given in (visible, array):
        picture = inferencer(given, return_vis=True, opacity=0.0, with_labels=False)['visualization']
        np.testing.assert_array_equal(picture, array[..., 2::-1])
    with pytest.raises(ValueError, match='img_path|no path has no partner'):
        inferencer(array[..., :3])


def test_inferencer_in_a_process_of_its_own(checkpoint, config_path, seg_pairs, run_host_tool):
    code = 'import mmdefusion; from mmseg.apis import MMSegInferencer; inferencer = MMSegInferencer('
    code += f"{str(config_path)!r}, {checkpoint!r}, device='cpu'); "
    code += f"print('map:', inferencer({str(seg_pairs / 'vi/1.png')!r})['predictions'].shape)"
    assert 'map: (64, 64)' in run_tool(run_host_tool, '-c', code)


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


def test_browse_dataset(config_path, run_host_tool, seg_pairs, tmp_path):
    """Labels lie on what the pipeline made of the image."""
    config = tmp_path / 'browsed.py'
    config.write_text(f"""
_base_ = '{config_path}'
val_dataloader = dict(dataset=dict(pipeline=[
    *_base_.load_pair, dict(type='LoadAnnotations'), dict(type='RandomFlip', prob=1.0), dict(type='PackSegInputs')]))
visualizer = dict(background='partner', alpha=0.5)
""")
    tool = ROOT / 'tools/analysis_tools/browse_dataset.py'
    run_tool(run_host_tool, tool, config, '-o', tmp_path / 'seen', '--not-show', '-n', '2', '--phase', 'val')
    pictures = sorted((tmp_path / 'seen').iterdir())
    assert [path.name for path in pictures] == ['00000_0.png', '00001_1.png']
    for index, path in enumerate(pictures):
        infrared, labels = (cv2.imread(str(seg_pairs / side / f'{index}.png'))[:, ::-1] for side in ('ir', 'labels'))
        # Half of it is the colour of the class: red for the square, black elsewhere. The names cover some pixels.
        expected = (infrared + labels * np.array([0, 0, 255])) // 2
        differs = np.abs(cv2.imread(str(path)).astype(int) - expected).max(axis=2) > 1
        assert differs.mean() < 0.1 and differs[labels[..., 0] == 1].mean() < 0.3


def test_amp_and_resume(config_path, train_with_flags, tmp_path):
    flags = ('--work-dir', tmp_path, '--amp', '--cfg-options', 'default_hooks.visualization.draw=False')
    first = train_with_flags(config_path, *flags, 'train_cfg.max_iters=1')
    assert isinstance(first.optim_wrapper, AutocastOptimWrapper) and first.optim_wrapper.dtype == torch.bfloat16
    second = train_with_flags(config_path, '--resume', *flags)
    assert second.iter == 2
    # The optimizer goes on too: two steps are counted.
    assert {int(state['step']) for state in second.optim_wrapper.optimizer.state.values()} == {2}


def test_two_processes(config_path, run_host_tool, free_port, tmp_path):
    result = run_host_tool(
        *('bash', ROOT / 'tools/dist_train.sh', config_path, '2', '--work-dir', tmp_path / 'dist'),
        *('--cfg-options', 'train_cfg.max_iters=1', 'train_dataloader.batch_size=1'),
        PORT=free_port,
        PYTHON=sys.executable,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert 'GPU number: 2' in result.stdout + result.stderr
    assert len([entry for entry in scalars(tmp_path / 'dist') if 'loss' in entry]) == 1
    assert (tmp_path / 'dist/iter_1.pth').exists()
