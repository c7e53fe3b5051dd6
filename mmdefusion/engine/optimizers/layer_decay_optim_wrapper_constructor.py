# Copyright (c) mmdefusion authors. All rights reserved.
"""Layer-wise decay of the learning rate for any backbone that knows its depth."""

from __future__ import annotations

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmdefusion.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Smaller learning rates for earlier layers (BEiT, Bao et al., arXiv 2106.08254).

    A parameter of depth d of n gets ``lr * layer_decay_rate ** (n - 1 - d)``; heads and necks have depth n - 1 and so
    the full rate. Depths come from ``model.backbone.get_layer_depth(name, prefix)``. MMDetection's and
    MMSegmentation's own constructors know the names of a few backbones only.

    ``paramwise_cfg`` takes ``layer_decay_rate``, in (0, 1], and everything that the default constructor takes
    (``custom_keys``, ``norm_decay_mult``, ...), whose factors multiply with the decay:

    .. code-block:: python

        optim_wrapper = dict(
            constructor='mmdefusion.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=0.75, norm_decay_mult=0.0),
        )
    """

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', is_dcn_module: int | float | None = None
    ) -> None:
        """Adds a group for each trainable parameter.

        Args:
            params: List of groups, extended in place.
            module: The module whose parameters are added; the whole model where ``prefix`` is empty.
            prefix: Name of the module in the model.
            is_dcn_module: Used by the base class.

        Raises:
            ValueError: ``layer_decay_rate`` is missing or not in (0, 1], or the backbone does not know its depth.
        """
        # The base class calls this method for every child; only the outermost call has seen all of them.
        super().add_params(params, module, prefix, is_dcn_module)
        if prefix:
            return
        decay_rate = self.paramwise_cfg.get('layer_decay_rate')
        if decay_rate is None or not 0 < decay_rate <= 1:
            raise ValueError(f'paramwise_cfg.layer_decay_rate must be in (0, 1], got {decay_rate}')
        get_layer_depth = getattr(getattr(module, 'backbone', None), 'get_layer_depth', None)
        if get_layer_depth is None:
            raise ValueError(
                f'{type(self).__name__} needs a model whose backbone has get_layer_depth, as DeFusionViT has; '
                f'{type(module).__name__} has none'
            )
        names = {id(parameter): name for name, parameter in module.named_parameters()}
        rates: dict[int, float] = {}
        for group in params:
            (parameter,) = group['params']
            depth, num_layers = get_layer_depth(names[id(parameter)], prefix='backbone.')
            rates[depth] = decay_rate ** (num_layers - 1 - depth)
            group['lr'] = group.get('lr', self.base_lr) * rates[depth]
        listed = ', '.join(f'{depth}: {rates[depth]:.3g}' for depth in sorted(rates))
        print_log(f'learning rate factors by depth: {listed}', logger='current')
