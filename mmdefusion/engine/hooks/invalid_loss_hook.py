# Copyright (c) mmdefusion authors. All rights reserved.
"""A stop before NaN gets into a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdefusion.registry import HOOKS

#: Keys of a sample's meta information that name its files.
PATH_KEYS = ('img_path', 'partner_path', 'gt_path')


def files_of(data_batch: dict | Sequence | None) -> list[str]:
    """The files of a batch as its loader gave it, one entry for each sample.

    Args:
        data_batch: A batch of this package, of MMDetection or of MMSegmentation.

    Returns:
        The paths of each sample, or its number in the batch where it has none.
    """
    samples = data_batch.get('data_samples') if isinstance(data_batch, Mapping) else None
    entries = []
    for number, sample in enumerate(samples or ()):
        paths = [sample.get(key) for key in PATH_KEYS if key in sample]
        entries.append(' and '.join(str(path) for path in paths) or f'sample {number}, which has no path')
    return entries


@HOOKS.register_module()
class StopOnInvalidLossHook(Hook):
    """Stops training when a loss is NaN or infinite, and names the files of the batch.

    Every iteration is looked at, that of every process: gradients are shared, so one bad batch spoils the weights of
    all. All processes stop at the same iteration, before a checkpoint or averaged weights take the bad ones in: the
    last checkpoint is good.

    Losses are looked at, not gradients: those of float16 overflow now and then, and the loss scaler leaves such a step
    out.
    """

    priority = 'VERY_HIGH'

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Looks at the losses of a batch.

        Raises:
            FloatingPointError: A loss is NaN or infinite, in this or in another process; the message names the losses
                and the files.
        """
        losses = {
            name: value.detach().float().sum()
            for name, value in (outputs or {}).items()
            if 'loss' in name and isinstance(value, torch.Tensor)
        }
        if not losses:
            return
        # One number for all losses and processes, so that a GPU is asked once.
        invalid = (~torch.isfinite(torch.stack(list(losses.values())))).sum()
        all_reduce(invalid)
        if not invalid.item():
            return
        bad = {name: value.item() for name, value in losses.items() if not torch.isfinite(value)}
        found = [(get_rank(), bad, files_of(data_batch))]
        if get_world_size() > 1:
            found = [report for part in all_gather_object(found) for report in part]
        raise FloatingPointError(_describe(runner, [report for report in found if report[1]]))


def _describe(runner: Runner, reports: Sequence[tuple[int, Mapping[str, float], Sequence[str]]]) -> str:
    lines = [
        f'training stopped at iteration {runner.iter + 1} (epoch {runner.epoch + 1}): expected finite losses, found'
    ]
    for rank, bad, files in reports:
        lines.append(
            f'in process {rank}: ' + ', '.join(f'{name} = {value}' for name, value in bad.items()) + '; batch:'
        )
        lines += [f'  {entry}' for entry in files or ['(its samples have no paths)']]
    lines.append('Weights that were saved before are good. Look at these files, or lower the learning rate.')
    return '\n'.join(lines)
