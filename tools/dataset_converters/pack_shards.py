# Copyright (c) mmdefusion authors. All rights reserved.
"""Packs folders of photos or pairs into tar shards or an LMDB, with an index of what is in them."""

from __future__ import annotations

import argparse
import sys

import mmdefusion  # noqa: F401  checks the environment before anything is built
from mmdefusion.datasets.converters import list_sources, pack_lmdb, pack_shards, shuffled


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description='Pack photos or pairs into tar shards or an LMDB',
        epilog='Every image is decoded once to check it; partners must have the same size.',
    )
    parser.add_argument('img_dir', help='folder of photos, with its subfolders, or of the first sources')
    parser.add_argument('out_dir', help='folder to make; nothing is overwritten')
    parser.add_argument('--partner-dir', help='for pairs: folder of the second sources, of the same stems')
    parser.add_argument('--gt-dir', help='for pairs: folder of the images that fusion should give')
    parser.add_argument('--ann-file', default='', help='list of the names to take, one a line; default all')
    parser.add_argument(
        '--subset', choices=['all', 'train', 'val'], default='all', help='photos without, or only, every 20th'
    )
    parser.add_argument('--format', choices=['tar', 'lmdb'], default='tar', help='default tar')
    parser.add_argument('--samples-per-shard', type=int, default=1000, help='default 1000')
    parser.add_argument('--prefix', default='shard', help='shards are called PREFIX-000000.tar ... (default shard)')
    parser.add_argument('--shuffle-seed', type=int, help='pack in a random order; default: that of the names')
    parser.add_argument('--num-workers', type=int, default=2, help='threads that check images (default 2)')
    args = parser.parse_args()
    if args.partner_dir is None and args.gt_dir is not None:
        parser.error('--gt-dir needs --partner-dir')
    if args.partner_dir is not None and args.subset != 'all':
        parser.error('--subset is for photos; take --ann-file for pairs')
    return args


def main() -> None:
    """Packs."""
    args = parse_args()
    try:
        sources = list_sources(args.img_dir, args.partner_dir, args.gt_dir, args.ann_file, args.subset)
        if args.shuffle_seed is not None:
            sources = shuffled(sources, args.shuffle_seed)
        if args.format == 'lmdb':
            pack_lmdb(sources, args.out_dir, args.num_workers)
            print(f'{len(sources)} samples in {args.out_dir}')
        else:
            index = pack_shards(sources, args.out_dir, args.samples_per_shard, args.prefix, args.num_workers)
            print(f'{len(sources)} samples in {len(index.shards)} shards in {args.out_dir}')
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f'Error: {error}')


if __name__ == '__main__':
    main()
