# Copyright (c) mmdefusion authors. All rights reserved.
"""Averaged weights, with any strategy."""

from __future__ import annotations

from mmengine.hooks import EMAHook as MMEngineEMAHook
from mmengine.registry import MODELS
from mmengine.runner import Runner

from mmdefusion.registry import HOOKS

from ..strategies.fully_shard_strategy import is_sharded


@HOOKS.register_module()
class EMAHook(MMEngineEMAHook):
    """MMEngine's ``EMAHook``, which takes its place, for ``FlexibleRunner`` and sharded models too.

    ``FlexibleRunner`` loads a checkpoint before it calls ``before_run``, and a sharded model cannot be copied.

    Args:
        **kwargs: Arguments of MMEngine's ``EMAHook``.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.ema_model = None

    def before_run(self, runner: Runner) -> None:
        """Makes the averaged model, which starts as the model is.

        Raises:
            ValueError: The strategy is DeepSpeed's, which would not save the averaged weights.
        """
        strategy = getattr(runner, 'strategy', None)
        if type(strategy).__name__ == 'DeepSpeedStrategy':
            raise ValueError("DeepSpeedStrategy does not save averaged weights: remove EMAHook from 'custom_hooks'")
        if self.ema_model is not None:
            return
        if not is_sharded(runner.model):
            super().before_run(runner)
            return
        self.src_model = runner.model
        # An equal model, spread in the same way.
        self.ema_model = MODELS.build(self.ema_cfg, default_args=dict(model=MODELS.build(runner.cfg.model)))
        averaged = strategy.shard(self.ema_model.module)
        averaged.load_state_dict(self.src_model.state_dict())
        self.ema_model.avg_parameters = dict(averaged.named_parameters())

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Resumes the averaged weights."""
        self.before_run(runner)
        super().after_load_checkpoint(runner, checkpoint)
