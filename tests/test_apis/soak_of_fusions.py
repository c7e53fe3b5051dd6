# Copyright (c) mmdefusion authors. All rights reserved.
"""Fuses many pairs in one process, and fails if memory or open files grow.

Run as a script for the long versions: ``python tests/test_apis/soak_of_fusions.py --fusions 10000`` with the small
network of the tests, ``--fusions 1000 --weights fusion --scale 10`` with the one that users run, up to 900x700 pixels.
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
from mmdefusion.utils.setup_env import keep_freed_memory

#: Sizes in turn: caches by size must not grow without end.
SIZES = [(24, 32), (17, 40), (33, 33), (16, 16), (48, 20)]


def resident_mib():
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


def open_files():
    return len(os.listdir('/proc/self/fd'))


def soak(fusions, folder, every=1000, weights=None, scale=1):
    """Fuses files to files, with parts and tiles now and then; reports after so many fusions.

    Args:
        fusions: How many.
        folder: For files.
        every: Fusions between two reports.
        weights: Of the package; None makes random ones of the small network of the tests.
        scale: Factor of all sizes.

    Returns:
        Number of fusions, MiB in use and open files, each after a fifth of the fusions and at the end.
    """
    folder = Path(folder)
    config = None
    if weights is None:
        config, weights = Config(dict(default_scope='mmdefusion', model=tiny_model_cfg())), str(folder / 'weights.pth')
        torch.manual_seed(0)
        with MODELS.switch_scope_and_registry('mmdefusion') as registry:
            torch.save(registry.build(config.model).state_dict(), weights)
    options = dict(device='cpu', show_progress=False)
    whole = FusionInferencer(config, weights, **options)
    tiled = FusionInferencer(config, weights, tile_size=64 * scale, tile_overlap=16 * scale, **options)
    rng = np.random.default_rng(0)
    pairs = []
    for index, size in enumerate([*SIZES, (70, 90)]):
        paths = [folder / side / f'{index}.{suffix}' for side, suffix in (('vi', 'png'), ('ir', 'tif'))]
        for path in paths:
            height, width = (scale * side for side in size)
            write_image(path, rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        pairs.append(tuple(map(str, paths)))
    fifth = max(1, fusions // 5)
    for count in range(1, fusions + 1):
        fuse = tiled if count % 50 == 0 else whole
        pair = pairs[-1] if fuse is tiled else pairs[count % len(SIZES)]
        fuse(pair, out_dir=folder / 'out', parts=count % 10 == 0)
        if count in (fifth, fusions) or count % every == 0:
            gc.collect()
            state = count, resident_mib(), open_files()
            print('{} fusions: {:.0f} MiB, {} open files'.format(*state), flush=True)
            if count == fifth:
                early = state
    return early, state


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--fusions', type=int, default=10000, help='default 10000')
    parser.add_argument('--growth', type=float, default=8, help='MiB of growth that is accepted (default 8)')
    parser.add_argument('--every', type=int, default=1000, help='fusions between two reports (default 1000)')
    parser.add_argument('--weights', help='for example fusion; default: a small network with random weights')
    parser.add_argument(
        '--scale', type=int, default=1, help='factor of the sizes, which are 16x16 to 90x70 (default 1)'
    )
    args = parser.parse_args()
    # As the command line does.
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        early, late = soak(args.fusions, folder, args.every, args.weights, args.scale)
    grown = late[1] - early[1] > args.growth or late[2] > early[2]
    print(
        f'{"grew" if grown else "stayed"} from {early[1]:.0f} MiB and {early[2]} open files after {early[0]} fusions '
        f'to {late[1]:.0f} MiB and {late[2]} after {late[0]}'
    )
    return int(grown)


if __name__ == '__main__':
    sys.exit(main())
