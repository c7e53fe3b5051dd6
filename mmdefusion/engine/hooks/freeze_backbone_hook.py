# Copyright (c) mmdefusion authors. All rights reserved.
"""Neck and head first, then the backbone with them."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmdefusion.models.backbones import DeFusionViT
from mmdefusion.registry import HOOKS


@HOOKS.register_module()
class FreezeBackboneHook(Hook):
    """Trains neck and head alone at first, while the :class:`DeFusionViT` that they read stays as it is.

    Else the gradients of a head that still is random shape the backbone in the first steps. What the config freezes
    with ``frozen_stages`` stays frozen afterwards. The optimizer has all parameters from the start, and what is frozen
    depends on the epoch or iteration alone, so a resumed training goes on as an undisturbed one.

    Source: A. Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution", ICLR
    2022 (linear probing, then fine-tuning).

    Args:
        end: Epoch, or iteration, after which the backbone is trained, at least 1.
        by_epoch: Whether that is an epoch.

    Raises:
        ValueError: ``end`` is less than 1.
    """

    def __init__(self, end: int, by_epoch: bool = True) -> None:
        if end < 1:
            raise ValueError(f'end: found {end}; expected at least 1')
        self.end = end
        self.by_epoch = by_epoch

    def before_train(self, runner: Runner) -> None:
        """Finds the backbone.

        Raises:
            ValueError: It is another one, or processes would wait for gradients that a frozen backbone does not have.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.backbone = getattr(model, 'backbone', None)
        if not isinstance(self.backbone, DeFusionViT):
            raise ValueError(
                f'backbone of {type(model).__name__}: found {type(self.backbone).__name__}; expected a DeFusionViT'
            )
        if not getattr(runner.model, 'find_unused_parameters', True):
            raise ValueError(
                'find_unused_parameters: found False; expected True in the config, as several processes would wait for '
                'the gradients of a frozen backbone'
            )
        self.frozen_stages = self.backbone.frozen_stages

    def before_train_epoch(self, runner: Runner) -> None:
        """Freezes or trains the backbone in this epoch."""
        if self.by_epoch:
            self._update(runner, runner.epoch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Freezes or trains the backbone in this iteration."""
        if not self.by_epoch:
            self._update(runner, runner.iter)

    def _update(self, runner: Runner, done: int) -> None:
        stages = self.frozen_stages if done >= self.end else self.backbone.arch.depth + 2
        if stages != self.backbone.frozen_stages:
            self.backbone.freeze(stages)
            runner.logger.info(f'frozen_stages of the backbone: {stages}')
