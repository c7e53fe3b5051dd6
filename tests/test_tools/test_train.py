# Copyright (c) mmdefusion authors. All rights reserved.
import json
import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
TRAIN, TEST = ROOT / 'tools/train.py', ROOT / 'tools/test.py'


def weights(path):
    return torch.load(path, map_location='cpu', weights_only=False)['state_dict']


def scalars(work_dir):
    (path,) = Path(work_dir).glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.smoke
def test_train_resume_and_test(tiny_config, run_tool, tmp_path):
    whole = run_tool('python', TRAIN, tiny_config, '--work-dir', tmp_path / 'whole')
    assert whole.returncode == 0, whole.stderr
    half = run_tool(
        'python', TRAIN, tiny_config, '--work-dir', tmp_path / 'half', '--cfg-options', 'val_cfg.type=ValLoop'
    )
    assert half.returncode == 0, half.stderr
    # As if the run had been cut off after the first epoch.
    (tmp_path / 'half/epoch_2.pth').unlink()
    (tmp_path / 'half/last_checkpoint').write_text(str(tmp_path / 'half/epoch_1.pth'))
    resumed = run_tool('python', TRAIN, tiny_config, '--work-dir', tmp_path / 'half', '--resume')
    assert resumed.returncode == 0, resumed.stderr
    assert 'resumed epoch: 1' in resumed.stdout + resumed.stderr
    first, second = weights(tmp_path / 'whole/epoch_2.pth'), weights(tmp_path / 'half/epoch_2.pth')
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    start = weights(tmp_path / 'whole/epoch_1.pth')
    assert not torch.equal(start['neck.fused.pred.weight'], first['neck.fused.pred.weight'])

    log = scalars(tmp_path / 'whole')
    steps = [entry for entry in log if 'loss' in entry]
    assert [entry['iter'] for entry in steps] == [1, 2, 3, 4, 5, 6]
    parts = ('loss_common', 'loss_unique1', 'loss_unique2', 'loss_fused', 'loss_ssim', 'loss_masked')
    assert steps[0]['loss'] == pytest.approx(sum(steps[0][name] for name in parts), rel=1e-4)
    validations = [entry for entry in log if 'psnr_fused' in entry]
    assert len(validations) == 2 and {'ssim_fused', 'psnr_masked', 'ssim_masked'} <= validations[0].keys()
    pictures = sorted(path.name for path in (tmp_path / 'whole').glob('*/vis_data/vis_image/*'))
    assert pictures == ['val_pair_0_3.png', 'val_pair_0_6.png', 'val_sample_0_3.png', 'val_sample_0_6.png']
    assert list((tmp_path / 'whole').glob('*/vis_data/events.out.tfevents.*'))
    best = max(validations, key=lambda entry: entry['psnr_fused'])['step']
    assert [path.name for path in (tmp_path / 'whole').glob('best_*')] == [f'best_psnr_fused_epoch_{best}.pth']

    tested = run_tool('python', TEST, tiny_config, tmp_path / 'whole/epoch_2.pth', '--work-dir', tmp_path / 'test')
    assert tested.returncode == 0, tested.stderr
    (report,) = (tmp_path / 'test').glob('*/*.json')
    assert json.loads(report.read_text())['psnr_fused'] == pytest.approx(validations[1]['psnr_fused'], abs=1e-4)


def test_missing_data_is_one_message_before_training(run_tool):
    result = run_tool('python', TRAIN, ROOT / 'configs/defusion_pretrain.py')
    assert result.returncode == 1
    assert 'Traceback' not in result.stderr
    assert result.stderr.rstrip().splitlines()[-1].startswith('Error: ')
    for words in ('data/coco/train2017/', 'no such folder', '--cfg-options train_dataloader.dataset.data_root=FOLDER'):
        assert words in result.stderr


def test_compiled_steps_train_the_same_network(tiny_config, run_tool, tmp_path):
    """Traced as for every backend, with the operators themselves as the one that needs no compiler."""
    two_steps = ('train_cfg.max_epochs=1', 'train_cfg.val_interval=2', 'train_dataloader.dataset.indices=8')
    options = ('--cfg-options', *two_steps)
    runs = dict(eager=options, compiled=('--compile', *options, 'compile.backend=aot_eager'))
    for name, arguments in runs.items():
        result = run_tool('python', TRAIN, tiny_config, '--work-dir', tmp_path / name, *arguments)
        assert result.returncode == 0, result.stderr
    losses = [[entry['loss'] for entry in scalars(tmp_path / name) if 'loss' in entry] for name in runs]
    assert len(losses[0]) == 2 and losses[1] == pytest.approx(losses[0], rel=1e-2)


def test_flags(tiny_config, run_tool, tmp_path):
    accumulate = 'optim_wrapper.accumulative_counts=3'
    result = run_tool(
        *('python', TRAIN, tiny_config, '--work-dir', tmp_path / 'flags', '--amp', '--auto-scale-lr'),
        *('--cfg-options', 'train_cfg.max_epochs=1', accumulate, 'optim_wrapper.clip_grad.max_norm=0.5'),
    )
    assert result.returncode == 0, result.stderr
    steps = [entry for entry in scalars(tmp_path / 'flags') if 'loss' in entry]
    learning_rate = Config.fromfile(tiny_config).optim_wrapper.optimizer.lr
    assert steps[0]['lr'] == pytest.approx(learning_rate * 4 / 16)  # batch 4 instead of 16
    (dumped,) = (tmp_path / 'flags').glob('*/vis_data/config.py')
    assert "type='mmdefusion.AutocastOptimWrapper'" in dumped.read_text()


def test_two_processes_train_together(tiny_config, run_tool, free_port, tmp_path):
    result = run_tool(
        *('bash', ROOT / 'tools/dist_train.sh', tiny_config, '2', '--work-dir', tmp_path / 'dist'),
        *('--cfg-options', 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=2'),
        PORT=free_port,
        PYTHON=os.sys.executable,
    )
    assert result.returncode == 0, result.stderr
    assert [entry['iter'] for entry in scalars(tmp_path / 'dist') if 'loss' in entry] == [1, 2, 3]  # 12 / (2 * 2)
    assert (tmp_path / 'dist/epoch_1.pth').exists()
