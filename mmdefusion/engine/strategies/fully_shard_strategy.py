# Copyright (c) mmdefusion authors. All rights reserved.
"""Fully sharded data parallel training, on accelerators and on CPUs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import mmengine
import torch
from mmengine._strategy import DDPStrategy, SingleDeviceStrategy
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_main_process
from mmengine.runner.checkpoint import save_checkpoint
from mmengine.utils import apply_to
from torch import Tensor, nn

from mmdefusion.registry import STRATEGIES

try:
    from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, fully_shard
    from torch.distributed.tensor import DTensor, distribute_tensor, init_device_mesh
except ImportError:
    fully_shard = None


#: Modules of this package that hold most of its parameters.
UNITS = ('Block', 'CrossAttentionLayer')
#: Where a checkpoint has weights, and what precedes their names there.
_WEIGHTS = dict(state_dict='', ema_state_dict='module.')


def is_sharded(module: nn.Module) -> bool:
    """Whether :class:`FullyShardStrategy` has spread a model over the processes."""
    return fully_shard is not None and isinstance(module, FSDPModule)


def shard_model(model: nn.Module, units: Iterable[str], **options) -> nn.Module:
    """Spreads a model over all processes, in place.

    Args:
        model: The model, the same in every process.
        units: Class names of the modules whose parameters are gathered together.
        **options: Arguments of torch's ``fully_shard``.

    Raises:
        ValueError: The model has no module of the given classes.
    """
    names = set(units)
    modules = [module for module in model.modules() if type(module).__name__ in names]
    if not modules:
        raise ValueError(f'units={sorted(names)}: {type(model).__name__} has no module of these classes')
    options['mesh'] = init_device_mesh(torch.device(get_device()).type, (get_world_size(),))
    for module in model.modules():
        for name, value in list(module.named_parameters(recurse=False)):
            if not value.dim():
                # fully_shard takes no scalars; a row of one number takes part in everything alike.
                setattr(module, name, nn.Parameter(value.detach().reshape(1), value.requires_grad))
    for module in modules:
        fully_shard(module, **options)
    return fully_shard(model, **options)


def _shard_like(whole: Tensor, like: Tensor) -> Tensor:
    """This process's part of a tensor that all processes have."""
    if not isinstance(like, DTensor) or whole.numel() != like.numel():
        return whole
    whole = whole.reshape(like.shape)
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


@STRATEGIES.register_module()
class FullyShardStrategy(DDPStrategy):
    """Parameters, gradients and optimizer state spread over all processes (ZeRO stage 3) by torch's ``fully_shard``.

    MMEngine's ``FSDPStrategy`` builds on the first FSDP of torch, which refuses to run without an accelerator. This one
    runs anywhere, and keeps the names and types of modules and parameters: hooks and optimizer settings stay as they
    are. Its checkpoints are those of a single process, whole and in one file: each of them resumes with any number of
    processes, with this strategy or without. For ``FlexibleRunner``:

    .. code-block:: python

        runner_type = 'FlexibleRunner'
        strategy = dict(type='mmdefusion.FullyShardStrategy')

    Args:
        units: Class names of the modules whose parameters are gathered, used and let go together; what lies outside of
            them is one more unit. They must be used by calling them.
        param_dtype: Type in which parameters are gathered and used, for example ``'bfloat16'``; None keeps theirs.
        reduce_dtype: Type in which gradients are summed over the processes; None is ``param_dtype``.
        reshard_after_forward: Whether to let parameters go after the forward pass and gather them again for the
            backward pass (ZeRO stage 3) rather than keep them (stage 2): less memory, half as much communication again.
        cpu_offload: Whether to keep the parts of an accelerator's process in main memory.
        **kwargs: Arguments of ``DDPStrategy`` without ``model_wrapper``.

    Raises:
        ImportError: torch is older than 2.6.
    """

    def __init__(
        self,
        *,
        units: Sequence[str] = UNITS,
        param_dtype: str | None = None,
        reduce_dtype: str | None = None,
        reshard_after_forward: bool = True,
        cpu_offload: bool = False,
        **kwargs,
    ) -> None:
        if fully_shard is None:
            raise ImportError(f'FullyShardStrategy needs torch 2.6 or newer, found {torch.__version__}')
        super().__init__(**kwargs)
        self.units = units
        self.options = dict(
            mp_policy=MixedPrecisionPolicy(
                param_dtype=param_dtype and getattr(torch, param_dtype),
                reduce_dtype=reduce_dtype and getattr(torch, reduce_dtype),
            ),
            reshard_after_forward=reshard_after_forward,
            offload_policy=CPUOffloadPolicy() if cpu_offload else OffloadPolicy(),
        )

    def shard(self, model: nn.Module) -> nn.Module:
        """Spreads a model over the processes, see :func:`shard_model`."""
        return shard_model(model, self.units, **self.options)

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        if is_sharded(model):
            return model
        self.scalars = {name for name, value in model.named_parameters() if not value.dim()}
        return self.shard(self.convert_model(model.to(get_device())))

    def _restore_scalars(self, checkpoint: dict) -> None:
        """Gives scalars their own shape again, which they do not have while they are spread."""
        for part, prefix in _WEIGHTS.items():
            for name in self.scalars & {key.removeprefix(prefix) for key in checkpoint.get(part, {})}:
                checkpoint[part][prefix + name] = checkpoint[part][prefix + name].reshape(())
        names = {id(value): name for name, value in self.model.named_parameters()}
        for index, state in checkpoint.get('optimizer', {}).get('state', {}).items():
            if names[id(self._parameters()[index])] in self.scalars:
                state.update({key: value.reshape(()) for key, value in state.items() if isinstance(value, Tensor)})

    def _parameters(self) -> list[nn.Parameter]:
        """Parameters as the optimizer numbers them."""
        return [item for group in self.optim_wrapper.param_groups for item in group['params']]

    def save_checkpoint(
        self,
        filename: str,
        *,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        extra_ckpt: dict | None = None,
        callback: Callable[[dict], None] | None = None,
    ) -> None:
        """Collects the parts and writes one file in the first process; every process has to call it.

        Args:
            filename: The checkpoint.
            save_optimizer: Whether to save the optimizer's state.
            save_param_scheduler: Whether to save the parameter schedulers' state.
            extra_ckpt: What else to save.
            callback: Called with the checkpoint before the parts are collected.
        """
        checkpoint = dict(extra_ckpt or {}, state_dict=self.model.state_dict())
        if save_optimizer and hasattr(self, 'optim_wrapper'):
            checkpoint['optimizer'] = self.optim_state_dict()
        if save_param_scheduler and hasattr(self, 'param_schedulers'):
            checkpoint['param_schedulers'] = self.scheduler_state_dict()
        checkpoint.setdefault('meta', {}).update(
            seed=self.seed, time=time.strftime('%Y%m%d_%H%M%S'), mmengine=mmengine.__version__
        )
        if callback is not None:
            callback(checkpoint)
        # All processes take part, but only the first one keeps the whole.
        keep = is_main_process()

        def collect(part: Tensor) -> Tensor | None:
            whole = part.full_tensor() if isinstance(part, DTensor) else part
            return whole.cpu() if keep else None

        checkpoint = apply_to(checkpoint, lambda value: isinstance(value, Tensor), collect)
        if keep:
            self._restore_scalars(checkpoint)
            save_checkpoint(checkpoint, filename)

    def load_checkpoint(self, filename: str, *, callback: Callable[[dict], None] | None = None, **kwargs) -> dict:
        """Loads a whole checkpoint and keeps this process's part.

        Args:
            filename: The checkpoint, of this or of another strategy.
            callback: Called with the checkpoint when its weights are parts.
            **kwargs: Arguments of ``SingleDeviceStrategy.load_checkpoint``; whole tensors are always kept in main
                memory.

        Returns:
            The checkpoint without ``state_dict``.
        """

        def take_part(checkpoint: dict) -> None:
            likes = dict(self.model.named_parameters())
            for part, prefix in _WEIGHTS.items():
                weights = checkpoint.get(part, {})
                for key in weights:
                    like = likes.get(key.removeprefix(prefix))
                    if like is not None:
                        weights[key] = _shard_like(weights[key], like)
            if callback is not None:
                callback(checkpoint)

        kwargs['map_location'] = 'cpu'
        return SingleDeviceStrategy.load_checkpoint(self, filename, callback=take_part, **kwargs)

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """Loads an optimizer's whole state and keeps this process's part."""
        for index, state in state_dict['state'].items():
            for key, value in state.items():
                # The number of steps is the same for all parts.
                if isinstance(value, Tensor) and key != 'step':
                    state[key] = _shard_like(value, self._parameters()[index])
        self.optim_wrapper.load_state_dict(state_dict)
