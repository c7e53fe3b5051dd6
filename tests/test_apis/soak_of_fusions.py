# Copyright (c) mmdefusion authors. All rights reserved.
"""Fuses many pairs in one process, and fails if memory or open files grow.

Run as a script for the long version: ``python tests/test_apis/soak_of_fusions.py --fusions 10000``.
"""

import argparse
import gc
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from mmdefusion.apis import FusionInferencer
from mmdefusion.testing import tiny_model_cfg
from mmdefusion.utils.image_io import write_image

#: Sizes in turn: caches by size must not grow without end.
SIZES = [(24, 32), (17, 40), (33, 33), (16, 16), (48, 20)]


def resident_mib():
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


def open_files():
    return len(os.listdir('/proc/self/fd'))


def soak(fusions, folder, report=print):
    """Fuses files to files, with parts and tiles now and then.

    Returns:
        MiB in use and open files, each after a fifth of the fusions and at the end.
    """
    folder = Path(folder)
    config = Config(dict(default_scope='mmdefusion', model=tiny_model_cfg()))
    torch.manual_seed(0)
    with MODELS.switch_scope_and_registry('mmdefusion') as registry:
        torch.save(registry.build(config.model).state_dict(), folder / 'weights.pth')
    options = dict(device='cpu', show_progress=False)
    whole = FusionInferencer(config, str(folder / 'weights.pth'), **options)
    tiled = FusionInferencer(config, str(folder / 'weights.pth'), tile_size=64, tile_overlap=16, **options)
    rng = np.random.default_rng(0)
    pairs = []
    for index, size in enumerate([*SIZES, (70, 90)]):
        paths = [folder / side / f'{index}.{suffix}' for side, suffix in (('vi', 'png'), ('ir', 'tif'))]
        for path in paths:
            write_image(path, rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        pairs.append(tuple(map(str, paths)))
    early = None
    for count in range(1, fusions + 1):
        fuse = tiled if count % 50 == 0 else whole
        pair = pairs[-1] if fuse is tiled else pairs[count % len(SIZES)]
        fuse(pair, out_dir=folder / 'out', parts=count % 10 == 0)
        if count in (fusions // 5, fusions) or count % 1000 == 0:
            gc.collect()
            state = resident_mib(), open_files()
            report(f'{count} fusions: {state[0]:.0f} MiB, {state[1]} open files')
            early = early or state
    return early, state


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--fusions', type=int, default=10000, help='default 10000')
    parser.add_argument('--growth', type=float, default=8, help='MiB of growth that is accepted (default 8)')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        early, late = soak(args.fusions, folder)
    if late[0] - early[0] > args.growth or late[1] > early[1]:
        print(f'grew from {early[0]:.0f} to {late[0]:.0f} MiB, from {early[1]} to {late[1]} open files')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
