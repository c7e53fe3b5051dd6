# Copyright (c) mmdefusion authors. All rights reserved.
"""Weights of a loss that change in the course of a training."""

from __future__ import annotations

from collections.abc import Sequence
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
    """

    begin: int
    end: int
    weights: Weights


@HOOKS.register_module()
class FusionWeightsHook(Hook):
    """Leads the weights of :class:`FusionHead` from those of the config to others, in one or more stages.

    For a training that first asks for one thing and then for another: for a decision between the sources, then for a
    consistent one. An average of both, which decides nothing, is consistent from the start. Weights change along a
    line from ``begin`` to ``end`` of a stage; they depend on the iteration alone, so a resumed training has those of an
    undisturbed one.

    Args:
        stages: Dicts of what :class:`WeightsStage` holds, one after the other. The head has to have a weight for each
            term, 0 if it is to come in; what a stage does not name stays as it was before.

    Raises:
        ValueError: A stage does not end after its begin, or begins before the one ahead of it ends.
    """

    def __init__(self, stages: Sequence[dict]) -> None:
        self.stages = [WeightsStage(**stage) for stage in stages]
        epochs = [0, *(epoch for stage in self.stages for epoch in (stage.begin, stage.end))]
        if epochs != sorted(epochs) or any(stage.begin == stage.end for stage in self.stages):
            found = ', '.join(f'{stage.begin} to {stage.end}' for stage in self.stages)
            raise ValueError(f'stages: found epochs {found}; expected each to end after it begins, one after the other')

    def before_train(self, runner: Runner) -> None:
        """Takes the weights of the config from the head.

        Raises:
            ValueError: The model has no ``fusion_head``, or that has no weight for a kind and term of a stage.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.head = getattr(model, 'fusion_head', None)
        if self.head is None:
            raise ValueError(f'found no fusion_head in {type(model).__name__}; expected a FusionHead for its weights')
        self.start = {kind: dict(terms) for kind, terms in self.head.weights.items()}
        for kind, terms in ((kind, terms) for stage in self.stages for kind, terms in stage.weights.items()):
            unknown = sorted(set(terms) - set(self.start.get(kind, ())))
            if unknown:
                raise ValueError(
                    f'weights of kind {kind!r}: found {unknown}, for which the head has no weight to start from; '
                    f'expected some of {sorted(self.start.get(kind, ()))}'
                )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Sets the weights of this iteration."""
        epoch = runner.iter / len(runner.train_dataloader)
        weights = self.start
        for stage in self.stages:
            share = min(max((epoch - stage.begin) / (stage.end - stage.begin), 0.0), 1.0)
            weights = _blend(weights, stage.weights, share)
        self.head.weights = weights


def _blend(weights: Weights, target: Weights, share: float) -> Weights:
    return {
        kind: {
            term: weight + share * (target.get(kind, {}).get(term, weight) - weight) for term, weight in terms.items()
        }
        for kind, terms in weights.items()
    }
