# Copyright (c) mmdefusion authors. All rights reserved.
"""Weights of a loss, and shares of restored batches, that change in the course of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmdefusion.registry import HOOKS

#: Weights of losses by kind of pair and term.
Weights = dict[str, dict[str, float]]


class WeightsStage(NamedTuple):
    """One change of weights.

    Attributes:
        begin: Epoch after which weights start to change.
        end: Epoch after which they have arrived, later than ``begin``.
        weights: By kind and term, as those of the head, the weights at the end.
        restored: By kind, as ``restored`` of :class:`DeFusionPP`, the shares of restored batches at the end.
    """

    begin: int
    end: int
    weights: Weights
    restored: Mapping[str, float] = MappingProxyType({})


@HOOKS.register_module()
class FusionWeightsHook(Hook):
    """Leads the weights of :class:`FusionHead`, and the shares of restored batches, from those of the config to others.

    For a training that first asks for one thing and then for another: for a decision between the sources, then for a
    consistent one. An average of both, which decides nothing, is consistent from the start. Weights change along a
    line from ``begin`` to ``end`` of a stage; they depend on the iteration alone, so a resumed training has those of an
    undisturbed one.

    Args:
        stages: Dicts of what :class:`WeightsStage` holds, one after the other. The head has to have a weight for each
            term, 0 if it is to come in, and the model a share for each kind; what a stage does not name stays as it was
            before.

    Raises:
        ValueError: A stage does not end after its begin, or begins before the one ahead of it ends, or asks for a share
            that is none.
    """

    def __init__(self, stages: Sequence[dict]) -> None:
        self.stages = [WeightsStage(**stage) for stage in stages]
        epochs = [0, *(epoch for stage in self.stages for epoch in (stage.begin, stage.end))]
        if epochs != sorted(epochs) or any(stage.begin == stage.end for stage in self.stages):
            found = ', '.join(f'{stage.begin} to {stage.end}' for stage in self.stages)
            raise ValueError(f'stages: found epochs {found}; expected each to end after it begins, one after the other')
        for stage in self.stages:
            if not all(0 <= share <= 1 for share in stage.restored.values()):
                raise ValueError(f'restored: found {dict(stage.restored)}; expected shares from 0 to 1')

    def before_train(self, runner: Runner) -> None:
        """Takes the weights of the config from the head, and the shares from the model.

        Raises:
            ValueError: The model has no ``fusion_head``, or that has no weight for a kind and term of a stage, or the
                model no share for a kind.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.head = getattr(model, 'fusion_head', None)
        if self.head is None:
            raise ValueError(f'found no fusion_head in {type(model).__name__}; expected a FusionHead for its weights')
        self.model = model
        self.start = {kind: dict(terms) for kind, terms in self.head.weights.items()}
        self.start_restored = dict(model.restored)
        for stage in self.stages:
            for kind, terms in stage.weights.items():
                self._check(f'weights of kind {kind!r}', terms, self.start.get(kind, {}), 'the head has no weight')
            self._check('restored', stage.restored, self.start_restored, 'the model has no share')

    @staticmethod
    def _check(what: str, targets: Mapping[str, float], start: Mapping[str, float], missing: str) -> None:
        unknown = sorted(set(targets) - set(start))
        if unknown:
            raise ValueError(
                f'{what}: found {unknown}, for which {missing} to start from; expected some of {sorted(start)}'
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Sets the weights and shares of this iteration."""
        epoch = runner.iter / len(runner.train_dataloader)
        weights, restored = self.start, self.start_restored
        for stage in self.stages:
            share = min(max((epoch - stage.begin) / (stage.end - stage.begin), 0.0), 1.0)
            weights = {kind: _blend(terms, stage.weights.get(kind, {}), share) for kind, terms in weights.items()}
            restored = _blend(restored, stage.restored, share)
        self.head.weights, self.model.restored = weights, restored


def _blend(values: dict[str, float], targets: Mapping[str, float], share: float) -> dict[str, float]:
    return {name: value + share * (targets.get(name, value) - value) for name, value in values.items()}
