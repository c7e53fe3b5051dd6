# Copyright (c) mmdefusion authors. All rights reserved.
"""Training steps under ``torch.compile``."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner

from mmdefusion.registry import HOOKS


@HOOKS.register_module()
class CompileHook(Hook):
    """Makes the optimizer one that ``torch.compile`` can trace.

    MMEngine builds the parameter groups of ``paramwise_cfg`` as ``ConfigDict``, which PyTorch's tracer refuses with an
    internal error. Here they become plain dicts, after a checkpoint is resumed and before the first step is traced.
    ``tools/train.py --compile`` adds the hook.
    """

    def before_train(self, runner: Runner) -> None:
        """Replaces the groups."""
        wrapper: OptimWrapper | OptimWrapperDict = runner.optim_wrapper
        for single in wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]:
            single.optimizer.param_groups[:] = map(dict, single.optimizer.param_groups)
