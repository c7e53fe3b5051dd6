# Copyright (c) mmdefusion authors. All rights reserved.
"""Weights of a loss that change in the course of a training."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmdefusion.registry import HOOKS


@HOOKS.register_module()
class FusionWeightsHook(Hook):
    """Leads the weights of :class:`FusionHead` from those of the config to others.

    For a training that first asks for one thing and then for another: for a decision between the sources, then for a
    consistent one. An average of both, which decides nothing, is consistent from the start. Weights change along a
    line from ``begin`` to ``end``; they depend on the iteration alone, so a resumed training has those of an
    undisturbed one.

    Args:
        weights: By kind and term, as those of the head, the weights at the end. The head has to have a weight for
            each, 0 if the term is to come in; what is not named here stays as it is.
        begin: Epoch after which weights start to change.
        end: Epoch after which they have arrived.

    Raises:
        ValueError: ``end`` is not after ``begin``, or ``begin`` is negative.
    """

    def __init__(self, weights: dict[str, dict[str, float]], begin: int, end: int) -> None:
        if not 0 <= begin < end:
            raise ValueError(f'found begin={begin} and end={end}; expected epochs 0 <= begin < end')
        self.target = {kind: dict(terms) for kind, terms in weights.items()}
        self.begin, self.end = begin, end
        self.start = None

    def before_train(self, runner: Runner) -> None:
        """Takes the weights of the config from the head.

        Raises:
            ValueError: The model has no ``fusion_head``, or that has no weight for a kind and term of ``weights``.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.head = getattr(model, 'fusion_head', None)
        if self.head is None:
            raise ValueError(f'found no fusion_head in {type(model).__name__}; expected a FusionHead for its weights')
        self.start = {kind: dict(terms) for kind, terms in self.head.weights.items()}
        for kind, terms in self.target.items():
            unknown = sorted(set(terms) - set(self.start.get(kind, ())))
            if unknown:
                raise ValueError(
                    f'weights of kind {kind!r}: found {unknown}, for which the head has no weight to start from; '
                    f'expected some of {sorted(self.start.get(kind, ()))}'
                )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Sets the weights of this iteration."""
        batches = len(runner.train_dataloader)
        share = (runner.iter - self.begin * batches) / ((self.end - self.begin) * batches)
        share = min(max(share, 0.0), 1.0)
        self.head.weights = {
            kind: {
                term: weight + share * (self.target.get(kind, {}).get(term, weight) - weight)
                for term, weight in terms.items()
            }
            for kind, terms in self.start.items()
        }
