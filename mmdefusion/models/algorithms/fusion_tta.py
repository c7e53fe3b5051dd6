# Copyright (c) mmdefusion authors. All rights reserved.
"""Test-time augmentation."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseTTAModel

from mmdefusion.registry import MODELS
from mmdefusion.structures import FusionDataSample


@MODELS.register_module()
class FusionTTAModel(BaseTTAModel):
    """Fuses each pair as it is and mirrored, and averages the results.

    It mirrors inside, so pipelines, metrics and hooks see the same data as without it.

    Args:
        module: Config of the model, or the model.
        data_preprocessor: As in MMEngine.
    """

    def test_step(self, data: dict) -> list[FusionDataSample]:
        """Predictions of a batch of pairs, as from the model itself.

        Args:
            data: ``inputs``, pairs (6, H, W) as a list or stacked, and ``data_samples``.
        """
        mirrored = dict(
            inputs=[pair.flip(-1) for pair in data['inputs']],
            data_samples=[FusionDataSample(metainfo=sample.metainfo) for sample in data['data_samples']],
        )
        predictions = [self.module.test_step(batch) for batch in (data, mirrored)]
        return self.merge_preds(list(zip(*predictions, strict=True)))

    def merge_preds(self, data_samples_list: Sequence[tuple[FusionDataSample, FusionDataSample]]) -> list:
        """Averages the predictions of each pair with those of its mirror image.

        Args:
            data_samples_list: Two samples a pair, the second one mirrored.

        Returns:
            The first samples with averaged ``pred_*``.
        """
        for plain, mirrored in data_samples_list:
            fields = {key: value for key, value in mirrored.items() if key.startswith('pred_')}
            plain.set_data({key: (plain.get(key) + value.flip(-1)) / 2 for key, value in fields.items()})
        return [plain for plain, _ in data_samples_list]
