# Copyright (c) mmdefusion authors. All rights reserved.
"""Evaluation.

Nothing is imported here: scoring of image files needs :mod:`.functional` and :mod:`.folders` only, and shall not wait
for the networks that :mod:`.metrics`, the metrics of MMEngine's evaluator, import.
"""

__all__: list[str] = []
