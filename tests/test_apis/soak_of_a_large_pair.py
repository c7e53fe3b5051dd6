# Copyright (c) mmdefusion authors. All rights reserved.
"""Fuses one large pair from disk to disk, and fails if the process takes more memory than it may.

Run as a script for the long version, which needs 2.5 GB of disk: ``python tests/test_apis/soak_of_a_large_pair.py``.
Arguments that it does not know go to ``mmdefusion fuse``.
"""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mmdefusion import cli
from mmdefusion.datasets.sample_pairs import make_sample_pairs
from mmdefusion.utils.image_stream import TiffOutput, open_tiff_array


def peak_mib():
    """The most memory that this process has had, in MiB."""
    return int(re.search(r'VmHWM:\s+(\d+) kB', Path('/proc/self/status').read_text())[1]) / 1024


def write_pair(folder, size):
    """Writes two TIFF files of size x size pixels, a sample pair side by side with its mirror images, by strips."""
    pair = make_sample_pairs(['infrared_visible'])['infrared_visible']
    paths = []
    for name, image in (('vi', pair.source1), ('ir', pair.source2)):
        image = np.concatenate([image, image[:, ::-1]], axis=1)
        image = np.concatenate([image, image[::-1]], axis=0)
        strip = np.tile(image, (1, -(-size // image.shape[1]), 1))[:, :size]
        paths.append(folder / name / 'large.tif')
        with TiffOutput(paths[-1], (size, size, 3), np.uint8) as output:
            for top in range(0, size, len(strip)):
                rows = slice(top, min(top + len(strip), size))
                output[rows, slice(0, size)] = strip[: rows.stop - top]
    return paths


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--size', type=int, default=16384, help='side in pixels (default 16384)')
    parser.add_argument('--limit', type=float, default=2048, help='MiB that the process may take (default 2048)')
    parser.add_argument('--dir', help='where the files go; default: the folder of temporary files')
    args, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        folder = Path(folder)
        sources = write_pair(folder, args.size)
        begin = time.perf_counter()
        status = cli.main(['fuse', *map(str, sources), '-o', str(folder / 'out'), '--device', 'cpu', *options])
        seconds, peak = time.perf_counter() - begin, peak_mib()
        if status:
            return status
        fused = open_tiff_array(folder / 'out' / 'large.tif')
        assert fused.shape == (args.size, args.size, 3)
        # No row was left out, neither by the blending nor by the writing.
        assert all(fused[row].std() > 0 for row in range(0, args.size, 16))
    print(f'{args.size} x {args.size} pixels: {seconds:.0f} s, {peak:.0f} MiB at the peak')
    if peak > args.limit:
        print(f'more than {args.limit:.0f} MiB')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
