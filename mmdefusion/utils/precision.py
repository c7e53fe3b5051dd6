# Copyright (c) mmdefusion authors. All rights reserved.
"""Which floating-point types a device computes in."""

from __future__ import annotations

import torch


def emulates_bfloat16(device_type: str) -> bool:
    """Whether bfloat16 is slower than float32: on a CPU without instructions for it, in products of matrices 60 times.

    Args:
        device_type: ``'cpu'``, ``'cuda'``, ...
    """
    return device_type == 'cpu' and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
