# Copyright (c) mmdefusion authors. All rights reserved.
"""Fused images in one pickle file."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

from mmengine.evaluator import DumpResults

from mmdefusion.registry import METRICS
from mmdefusion.utils.output_files import write_bytes


@METRICS.register_module()
class DumpFusedResults(DumpResults):
    """Dumps paths and fused images, as a list of dicts, for evaluation elsewhere.

    Each has ``img_path``, ``partner_path`` where they are known, and ``pred_fused``, a uint8 tensor (3, H, W), RGB.
    Parts of the decomposition are left out, and 8 bits kept, because all of it has to fit into memory.

    Args:
        out_file_path: Where to write, ending in ``.pkl`` or ``.pickle``.
        collect_device: As in MMEngine.
        collect_dir: As in MMEngine.
    """

    def process(self, data_batch: dict, predictions: Sequence[dict]) -> None:
        """Keeps what is dumped later."""
        for sample in predictions:
            kept = {key: sample[key] for key in ('img_path', 'partner_path') if key in sample}
            kept['pred_fused'] = sample['pred_fused'].float().clamp(0, 1).mul(255).round().byte().cpu()
            self.results.append(kept)

    def compute_metrics(self, results: list[dict]) -> dict:
        """Writes the file, complete or not at all."""
        write_bytes(self.out_file_path, pickle.dumps(results))
        return {}
