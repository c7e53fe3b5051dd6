# Copyright (c) mmdefusion authors. All rights reserved.
"""Helpers of mmdefusion.

Nothing is imported here: ``import mmdefusion`` runs :mod:`mmdefusion.utils.environment` before anything else, and an
import of torch, MMEngine or MMCV at this place would come before that check.
"""

__all__: list[str] = []
