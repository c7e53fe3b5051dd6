# Copyright (c) mmdefusion authors. All rights reserved.
import errno
import logging
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub

from mmdefusion.engine import AtomicCheckpointHook
from mmdefusion.utils.output_files import OutputError

resource = pytest.importorskip('resource')  # where there is POSIX


class FakeRunner:
    """Writes its iteration as a checkpoint, and notes what lies in the folder meanwhile."""

    def __init__(self, work_dir, accumulative_counts=1):
        self.work_dir = str(work_dir)
        self.message_hub = MessageHub(str(work_dir))
        self.logger = logging.getLogger('fake')
        self.optim_wrapper = SimpleNamespace(_accumulative_counts=accumulative_counts)
        self.epoch, self.iter, self.max_iters = 0, 0, 100
        self.train_dataloader = range(10)
        self.full_disk = False
        self.meanwhile = []

    def save_checkpoint(self, out_dir, filename, *args, meta, **kwargs):
        self.meanwhile.append({path.name for path in Path(out_dir).iterdir()})
        (Path(out_dir) / filename).write_text(f'{meta["epoch"]} {meta["iter"]}')
        if self.full_disk:
            raise OSError(errno.ENOSPC, 'No space left on device')


@contextmanager
def size_limit(size):
    """Lets no file grow beyond so many bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def train(hook, runner, iterations):
    hook.before_train(runner)
    for _ in range(iterations):
        hook.after_train_iter(runner, batch_idx=runner.iter)
        runner.iter += 1


def test_the_old_checkpoint_stays_until_the_new_one_is_there(tmp_path):
    hook, runner = AtomicCheckpointHook(by_epoch=False, interval=2, max_keep_ckpts=1), FakeRunner(tmp_path)
    train(hook, runner, 4)
    assert runner.meanwhile == [set(), {'iter_2.pth', 'last_checkpoint'}]
    assert sorted(path.name for path in tmp_path.iterdir()) == ['iter_4.pth', 'last_checkpoint']
    assert (tmp_path / 'iter_4.pth').read_text() == '0 4'
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_4.pth')
    assert runner.message_hub.get_info('keep_ckpt_ids') == [4]


def test_a_full_disk_is_one_clear_error_and_loses_nothing(tmp_path):
    hook, runner = AtomicCheckpointHook(by_epoch=False, interval=2, max_keep_ckpts=1), FakeRunner(tmp_path)
    train(hook, runner, 2)
    runner.full_disk = True
    with pytest.raises(OutputError, match=r'iter_4.pth: cannot be written \(No space left on device\)'):
        train(hook, runner, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['iter_2.pth', 'last_checkpoint']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_2.pth')


def test_a_folder_of_parts_that_has_no_room_is_removed(tmp_path):
    hook, runner = AtomicCheckpointHook(by_epoch=False, interval=2, max_keep_ckpts=1), FakeRunner(tmp_path)

    def save_checkpoint(out_dir, filename, *args, **kwargs):
        # As DeepSpeed writes: one file of each process, by torch's own writer.
        (Path(out_dir) / filename).mkdir()
        with size_limit(room):
            torch.save(torch.ones(1000), Path(out_dir) / filename / 'part_0.pth')

    runner.save_checkpoint, room = save_checkpoint, 10**6
    train(hook, runner, 2)
    assert torch.load(tmp_path / 'iter_2.pth/part_0.pth').sum() == 1000
    room = 2000
    with pytest.raises(OutputError, match=r'iter_4.pth: cannot be written; is the disk full\?'):
        train(hook, runner, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['iter_2.pth', 'last_checkpoint']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_2.pth')


def test_no_room_for_the_pointer_leaves_both_checkpoints(tmp_path):
    hook, runner = AtomicCheckpointHook(by_epoch=False, interval=2, max_keep_ckpts=1), FakeRunner(tmp_path)
    train(hook, runner, 2)
    with size_limit(3), pytest.raises(OutputError, match=r'last_checkpoint: cannot be written \(File too large\)'):
        train(hook, runner, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['iter_2.pth', 'iter_4.pth', 'last_checkpoint']
    assert (tmp_path / 'iter_4.pth').read_text() == '0 4'
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_2.pth')


@pytest.mark.parametrize('save_best', ['psnr', ['psnr', 'ssim']])
def test_the_old_best_one_stays_until_the_new_one_is_there(tmp_path, save_best):
    hook = AtomicCheckpointHook(by_epoch=False, interval=100, save_best=save_best, rule='greater')
    runner = FakeRunner(tmp_path)
    hook.before_train(runner)
    for runner.iter, psnr in ((1, 20.0), (2, 19.0), (3, 21.0)):
        hook.after_val_epoch(runner, dict(psnr=psnr, ssim=0.5))
    assert 'best_psnr_iter_1.pth' in runner.meanwhile[-1]
    left = {'best_psnr_iter_3.pth'} | ({'best_ssim_iter_1.pth'} if save_best != 'psnr' else set())
    assert {path.name for path in tmp_path.iterdir()} == left
    assert runner.message_hub.get_info('best_ckpt' if save_best == 'psnr' else 'best_ckpt_psnr').endswith('iter_3.pth')


def test_the_position_is_the_one_that_was_asked_for(tmp_path):
    hook, runner, found = AtomicCheckpointHook(interval=1), FakeRunner(tmp_path), []

    def save_checkpoint(out_dir, filename, *args, meta, **kwargs):
        # As FlexibleRunner counts, once more after a validation.
        checkpoint = dict(meta=dict(meta, epoch=meta['epoch'] + 1))
        hook.before_save_checkpoint(runner, checkpoint)
        found.append(checkpoint['meta'])
        (Path(out_dir) / filename).touch()

    runner.save_checkpoint, runner.epoch, runner.iter = save_checkpoint, 3, 40
    hook.before_train(runner)
    hook.after_train_epoch(runner)
    assert found == [dict(epoch=4, iter=40)]
    other = dict(meta=dict(epoch=1, iter=2))
    hook.before_save_checkpoint(runner, other)
    assert other == dict(meta=dict(epoch=1, iter=2))


def test_a_checkpoint_between_two_steps_of_the_optimizer_is_an_error(tmp_path):
    hook = AtomicCheckpointHook(by_epoch=False, interval=10)
    with pytest.raises(ValueError, match='every 10 iterations, but gradients are accumulated over 4'):
        hook.before_train(FakeRunner(tmp_path, accumulative_counts=4))
    hook.before_train(FakeRunner(tmp_path, accumulative_counts=5))
    # Epochs of ten batches: every second one ends with a step of the optimizer.
    with pytest.raises(ValueError, match='every 10 iterations, but gradients are accumulated over 4'):
        AtomicCheckpointHook(interval=1).before_train(FakeRunner(tmp_path, accumulative_counts=4))
    AtomicCheckpointHook(interval=2).before_train(FakeRunner(tmp_path, accumulative_counts=4))
    # Nothing comes after the last iteration.
    AtomicCheckpointHook(interval=10).before_train(FakeRunner(tmp_path, accumulative_counts=3))
