# Copyright (c) mmdefusion authors. All rights reserved.
"""Fuse pairs of images: the same as ``mmdefusion fuse``."""

import sys

from mmdefusion.cli import main

if __name__ == '__main__':
    sys.exit(main(['fuse', *sys.argv[1:]]))
