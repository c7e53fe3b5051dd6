# Copyright (c) mmdefusion authors. All rights reserved.
"""Image fusion by feature decomposition (DeFusion++) as a plugin of the OpenMMLab libraries."""

from .utils.environment import check_environment

# First of all: a broken environment shall be told in one sentence, not by a traceback out of a half-working import.
check_environment()

from .utils.compat import apply_compat  # noqa: E402
from .version import __version__  # noqa: E402
from .weights.scheme import register_weights_scheme  # noqa: E402

apply_compat()
register_weights_scheme()

__all__ = ['__version__']
