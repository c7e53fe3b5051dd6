# Copyright (c) mmdefusion authors. All rights reserved.
"""Fuse two synchronised videos: the same as ``mmdefusion video``."""

import sys

from mmdefusion.cli import main

if __name__ == '__main__':
    sys.exit(main(['video', *sys.argv[1:]]))
