# Copyright (c) mmdefusion authors. All rights reserved.
"""Loading pretrained weights into a module, with an account of what fitted."""

from __future__ import annotations

from typing import NamedTuple

from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

#: Where public checkpoints keep their weights (mmengine and TinyMIM, MAE and timm, DeiT).
_CONTAINERS = ('state_dict', 'model', 'module')
#: Prefixes under which training code wraps an encoder.
_WRAPPERS = ('module.', 'encoder.', 'backbone.')


class LoadReport(NamedTuple):
    """What became of a checkpoint's tensors.

    Attributes:
        matched: Names that were loaded.
        missing: Names of the module that the checkpoint lacks; they keep their values.
        unused: Names of the checkpoint that the module lacks.
        mismatched: Names on both sides whose shapes differ; not loaded.
    """

    matched: list[str]
    missing: list[str]
    unused: list[str]
    mismatched: list[str]

    def summary(self, checkpoint: str) -> str:
        """The report in words."""
        lines = [f'{len(self.matched)} tensors loaded from {checkpoint}']
        for title in ('missing', 'unused', 'mismatched'):
            names = getattr(self, title)
            if names:
                lines.append(f'  {title} ({len(names)}): {", ".join(names[:8])}{", ..." if len(names) > 8 else ""}')
        return '\n'.join(lines)


def strip_prefix(weights: dict[str, Tensor], prefix: str | None) -> dict[str, Tensor]:
    """Names without the prefix, only those that have it; without a given prefix, common wrappers are looked for."""
    if prefix:
        prefix = prefix if prefix.endswith('.') else f'{prefix}.'
        return {name[len(prefix) :]: tensor for name, tensor in weights.items() if name.startswith(prefix)}
    for wrapper in _WRAPPERS:
        if any(name.startswith(f'{wrapper}patch_embed.') for name in weights):
            return strip_prefix(weights, wrapper)
    return weights


def load_pretrained(module: nn.Module, init_cfg: dict) -> LoadReport:
    """Loads the weights that a 'Pretrained' ``init_cfg`` names, by the module's own names.

    Args:
        module: Module that takes the weights.
        init_cfg: ``dict(type='Pretrained', checkpoint=..., prefix=..., map_location=...)``; the last two are optional.

    Returns:
        What was loaded and what was not; it is logged too.

    Raises:
        ValueError: ``init_cfg`` is of another type, or no tensor of the file fits the module.
    """
    if init_cfg.get('type') != 'Pretrained':
        raise ValueError(
            f"{type(module).__name__} initialises itself; init_cfg may only be of type 'Pretrained', got {init_cfg}"
        )
    path, prefix = init_cfg['checkpoint'], init_cfg.get('prefix')
    # A string, as torch.load wants it; the loader unpickles tensors and registered types only.
    content = CheckpointLoader.load_checkpoint(path, map_location=init_cfg.get('map_location', 'cpu'))
    for container in _CONTAINERS:
        if isinstance(content.get(container), dict):
            content = content[container]
            break
    weights = strip_prefix({name: value for name, value in content.items() if isinstance(value, Tensor)}, prefix)
    own = module.state_dict()
    shared = [name for name in own if name in weights]
    matched = [name for name in shared if own[name].shape == weights[name].shape]
    report = LoadReport(
        matched=matched,
        missing=[name for name in own if name not in weights],
        unused=[name for name in weights if name not in own],
        mismatched=[
            f'{name} {tuple(weights[name].shape)} against {tuple(own[name].shape)}'
            for name in shared
            if own[name].shape != weights[name].shape
        ],
    )
    if not matched:
        found = list(weights)[:5] or [name for name in content][:5]
        raise ValueError(
            f'no tensor of {path} fits {type(module).__name__} (prefix {prefix!r}): found names like {found} and '
            f'shapes that differ for {report.mismatched[:3]}, expected names like {list(own)[:5]}'
        )
    module.load_state_dict({name: weights[name] for name in matched}, strict=False)
    print_log(report.summary(str(path)), logger='current')
    return report
