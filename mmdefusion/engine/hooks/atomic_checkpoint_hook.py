# Copyright (c) mmdefusion authors. All rights reserved.
"""Checkpoints that are whole or not there, whenever the process dies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.dist import barrier, is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmdefusion.registry import HOOKS
from mmdefusion.utils.output_files import OutputError


def _flush(path: Path) -> None:
    """Waits until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Removes a file or folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _move(temporary: Path, path: Path) -> None:
    """Puts a finished file, or a folder of files, in its place."""
    if temporary.is_dir():
        for part in temporary.rglob('*'):
            _flush(part)
        # Nothing moves a folder over another one in a single step. This one is no longer, or not yet, the last one.
        _remove(path)
    _flush(temporary)
    os.replace(temporary, path)
    _flush(path.parent)


@contextmanager
def _whole_or_not_there(path: Path) -> Iterator[Path]:
    """Gives a temporary path, which takes the place of ``path`` in the end.

    Raises:
        OutputError: Something cannot be written; what was written before stays, and nothing of this.
    """
    temporary = path.with_name(f'.{path.name}.tmp')
    try:
        yield temporary
        if is_main_process():
            _move(temporary, path)
    except OSError as error:
        _remove(temporary)
        raise OutputError.of(path, error) from error
    except RuntimeError as error:
        # torch's own writer, which DeepSpeed uses, is known by this name only, and gives no reason.
        if 'inline_container' not in str(error):
            raise
        _remove(temporary)
        raise OutputError(f'{path}: cannot be written; is the disk full?') from error


class _AtomicSaves:
    """A runner that writes checkpoints under a temporary name first, and otherwise is the runner that it is made of."""

    def __init__(self, runner: Runner, hook: AtomicCheckpointHook) -> None:
        self._runner = runner
        self._hook = hook

    def __getattr__(self, name: str) -> object:
        return getattr(self._runner, name)

    def save_checkpoint(self, out_dir: str, filename: str, *args, meta: dict, **kwargs) -> None:
        if not isinstance(self._hook.file_backend, LocalBackend):
            self._save(out_dir, filename, *args, meta=meta, **kwargs)
            return
        with _whole_or_not_there(Path(out_dir, filename)) as temporary:
            self._save(out_dir, temporary.name, *args, meta=meta, **kwargs)
            # The processes may each write a part.
            barrier()

    def _save(self, *args, meta: dict, **kwargs) -> None:
        self._hook.position = dict(epoch=meta['epoch'], iter=meta['iter'])
        self._runner.save_checkpoint(*args, meta=meta, **kwargs)
        self._hook.position = {}


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """``CheckpointHook`` that loses nothing when the process dies at any moment.

    A checkpoint gets its name when it is complete and on the disk; then ``last_checkpoint`` points to it; and only then
    are older ones removed. A local file system is expected; other backends write as they do.

    Args:
        **kwargs: Arguments of ``CheckpointHook``.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.position: dict[str, int] = {}

    def before_train(self, runner: Runner) -> None:
        """Checks that no checkpoint falls between two steps of the optimizer.

        Raises:
            ValueError: The iterations between checkpoints are no multiple of the batches that gradients are accumulated
                over.
        """
        super().before_train(runner)
        counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        between = self.interval * (len(runner.train_dataloader) if self.by_epoch else 1)
        # At the very end whatever was accumulated is a step.
        if 0 < between < runner.max_iters and between % counts:
            raise ValueError(
                f'checkpoints every {between} iterations, but gradients are accumulated over {counts}, and those in '
                'between are not saved: expected a multiple'
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Writes down the epoch and iteration that the hook asked for; ``FlexibleRunner`` counts them anew."""
        checkpoint['meta'].update(self.position)

    def _save_checkpoint(self, runner: Runner) -> None:
        super()._save_checkpoint(_AtomicSaves(runner, self))

    def _save_checkpoint_with_step(self, runner: _AtomicSaves, step: int, meta: dict) -> None:
        dropped = []
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                dropped.append(self.keep_ckpt_ids.popleft())
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        filename = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, filename)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            filename,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            with _whole_or_not_there(Path(runner.work_dir, 'last_checkpoint')) as temporary:
                temporary.write_text(self.last_ckpt)
            for old in dropped:
                self._remove(self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(old)))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if not self.save_best:
            return
        # Hidden from the base class, which would remove the best one so far before it writes the new one.
        if len(self.key_indicators) == 1:
            old, self.best_ckpt_path = {None: self.best_ckpt_path}, None
        else:
            old, self.best_ckpt_path_dict = self.best_ckpt_path_dict, dict.fromkeys(self.best_ckpt_path_dict)
        super()._save_best_checkpoint(_AtomicSaves(runner, self), metrics)
        for key, path in old.items():
            new = self.best_ckpt_path if key is None else self.best_ckpt_path_dict[key]
            if new is None and key is None:
                self.best_ckpt_path = path
            elif new is None:
                self.best_ckpt_path_dict[key] = path
            elif path and path != new and is_main_process():
                self._remove(path)

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):
            self.file_backend.rmtree(path)
