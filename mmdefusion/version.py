# Copyright (c) mmdefusion authors. All rights reserved.
"""Version of mmdefusion."""

__version__ = '0.1.0'
