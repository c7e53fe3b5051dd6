# Copyright (c) mmdefusion authors. All rights reserved.
"""Strict reading of checkpoints for inference: a network with random weights must never pass for a trained one."""

from __future__ import annotations

import pickle

from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

HOW_TO_GET_WEIGHTS = (
    "the package brings 'fusion' and 'pretext' for the nano network; train another one with `python tools/train.py "
    'CONFIG` and pass the checkpoint from its work_dir'
)
SHOWN_NAMES = 5


def read_checkpoint(path: str) -> dict:
    """Read a checkpoint with MMEngine's loader, onto the CPU.

    Args:
        path: Path or address.

    Returns:
        The content; its weights lie under ``state_dict``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint.
    """
    try:
        content = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{path}: no such checkpoint; {HOW_TO_GET_WEIGHTS}') from error
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f'{path}: cannot be read as a checkpoint ({reason}); expected a file of MMEngine') from error
    if not isinstance(content, dict):
        raise ValueError(f'{path}: contains {type(content).__name__}; expected a dict with the key state_dict')
    return content if 'state_dict' in content else dict(state_dict=content)


def read_config(path: str) -> Config:
    """The config of a network.

    Raises:
        ValueError: The file is no config, or one without a model.
    """
    try:
        cfg = Config.fromfile(path)
    except Exception as error:  # A config is a program, which may fail in any way.
        raise ValueError(f'{path}: cannot be read as a config ({type(error).__name__}: {error})') from error
    if 'model' not in cfg:
        raise ValueError(f'{path}: a config without a model; found {sorted(cfg)}')
    return cfg


def embedded_config(checkpoint: dict, path: str) -> Config:
    """Give the config that MMEngine's runner stores in a checkpoint.

    Args:
        checkpoint: Result of :func:`read_checkpoint`.
        path: Name of the file in an error.

    Returns:
        The config.

    Raises:
        ValueError: If there is none.
    """
    runtime_info = checkpoint.get('message_hub', {}).get('runtime_info', {})
    text = runtime_info.get('cfg') or checkpoint.get('meta', {}).get('cfg')
    if not text:
        raise ValueError(f'{path}: contains no config; expected one, or the config given as model')
    return Config.fromstring(text, file_format='.py')


def load_all_weights(model: nn.Module, checkpoint: dict, path: str) -> None:
    """Load a checkpoint that has every weight of the model; tensors beyond these are left out.

    Args:
        model: Model to load into.
        checkpoint: Result of :func:`read_checkpoint`.
        path: Name of the file in an error.

    Raises:
        ValueError: If a weight is missing or has another shape.
    """
    found = {name.removeprefix('module.'): value for name, value in checkpoint['state_dict'].items()}
    expected = model.state_dict()
    missing = [name for name in expected if not isinstance(found.get(name), Tensor)]
    mismatched = [
        f'{name} {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}'
        for name in expected
        if name not in missing and found[name].shape != expected[name].shape
    ]
    if missing or mismatched:
        parts = [f'{len(expected) - len(missing) - len(mismatched)} of the {len(expected)} weights match']
        if missing:
            parts.append(f'{len(missing)} are missing ({_first(missing)})')
        if mismatched:
            parts.append(f'{len(mismatched)} have another shape ({_first(mismatched)})')
        found_names = f'the file has {_first(found)}'
        raise ValueError(f'{path} does not fit {type(model).__name__}: {", ".join(parts)}; {found_names}')
    model.load_state_dict({name: found[name] for name in expected})


def build_trained_model(cfg: ConfigDict, weights: str | None, scope: str) -> nn.Module:
    """Build a model with the weights of a checkpoint.

    Args:
        cfg: Config of the model; where it is empty, the one that the checkpoint carries is written into it.
        weights: Path or address of the checkpoint; None for a model without weights.
        scope: Default scope of a config that names none.

    Raises:
        ValueError: If there is no config, or weights are missing or do not fit.
    """
    checkpoint = None if weights is None else read_checkpoint(weights)
    if not cfg:
        cfg.update(embedded_config(checkpoint, weights)._cfg_dict)
    if 'model' not in cfg:
        raise ValueError(f'the config has no entry "model"; found {sorted(cfg)}')
    if 'type' not in cfg.model:
        raise ValueError(f'{weights}: holds no whole model, but only {sorted(cfg.model)}; {HOW_TO_GET_WEIGHTS}')
    with MODELS.switch_scope_and_registry(cfg.get('default_scope', scope)) as registry:
        model = registry.build(cfg.model)
    if checkpoint is not None:
        load_all_weights(model, checkpoint, weights)
    elif any(True for _ in model.parameters()):
        raise ValueError(f'no weights were given for the model: {HOW_TO_GET_WEIGHTS}')
    return model


def _first(names) -> str:
    names = list(names)
    return ', '.join(names[:SHOWN_NAMES]) + (', ...' if len(names) > SHOWN_NAMES else '')
