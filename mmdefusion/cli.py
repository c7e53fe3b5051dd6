# Copyright (c) mmdefusion authors. All rights reserved.
"""The console command ``mmdefusion``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .apis import FusionInferencer

# Repeated from the inferencer, whose import takes seconds, so that --help answers at once; a test compares them.
COLOR_MODES = ('ycbcr', 'rgb', 'gray')
PRECISIONS = ('auto', 'bfloat16', 'float32')


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all sub-commands."""
    parser = argparse.ArgumentParser(prog='mmdefusion', description='Image fusion by feature decomposition.')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    fuse = commands.add_parser(
        'fuse',
        help='fuse a pair of images, or two folders of them',
        description='Fuse a pair of registered images, or all pairs of two folders, matched by stem.',
    )
    fuse.add_argument('source1', metavar='VIS', help='first (visible) image, or folder')
    fuse.add_argument('source2', metavar='IR', help='second (infrared) image, or folder')
    fuse.add_argument('-o', '--out-dir', required=True, help='folder for the results, written as PNG')
    fuse.add_argument('--parts', action='store_true', help='also write common, unique1, unique2 and a panel')
    fuse.add_argument(
        '--suffixes',
        nargs=2,
        default=('', ''),
        metavar=('VIS', 'IR'),
        help='what the stems of two folders end in, for example _RGB _IR for 1_RGB.jpg and 1_IR.png',
    )
    _add_network_options(fuse)
    fuse.set_defaults(run=run_fuse)
    video = commands.add_parser(
        'video',
        help='fuse two synchronised videos, or folders of frames',
        description='Fuse two synchronised videos of one size, length and frame rate, or two folders of frames of the '
        'same stems.',
    )
    video.add_argument('source1', metavar='VIS', help='first (visible) video, or folder of frames')
    video.add_argument('source2', metavar='IR', help='second (infrared) video, or folder of frames')
    video.add_argument('-o', '--out', required=True, help='video (.mp4, .mov, .mkv, .avi), or folder for PNG frames')
    video.add_argument('--fps', type=float, help='frames per second; default: as the sources; folders need it')
    _add_network_options(video)
    video.set_defaults(run=run_video)
    return parser


def _add_network_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--model', help="config file, or name of a model; default: the checkpoint's own config")
    parser.add_argument('--weights', help='checkpoint, or fusion or pretext of the package; default: fusion')
    parser.add_argument('--device', help='for example cpu or cuda:0; default: the best one at hand')
    parser.add_argument(
        '--color',
        choices=COLOR_MODES,
        default='ycbcr',
        help="ycbcr fuses lumas and keeps the visible image's colours (default), rgb fuses colours, gray fuses lumas",
    )
    parser.add_argument('--batch-size', type=_positive, default=1, help='pairs of one size to fuse at once (default 1)')
    parser.add_argument(
        '--precision',
        choices=PRECISIONS,
        default='auto',
        help='auto: bfloat16 for 8-bit images on CPUs that have it, else float32 (default)',
    )
    parser.add_argument(
        '--memory-budget',
        type=float,
        default=1.0,
        metavar='GIB',
        help='fuse images in overlapping tiles when the network would need more than this (default 1)',
    )
    parser.add_argument('--tile-size', type=_positive, help='side of a tile in pixels; default: as the budget allows')
    parser.add_argument(
        '--tile-overlap', type=int, help='pixels that tiles share; default: four windows of the network, or 128'
    )


def _make_inferencer(args: argparse.Namespace) -> FusionInferencer:
    from .apis import FusionInferencer
    from .utils.setup_env import keep_freed_memory

    fuse = FusionInferencer(
        args.model,
        args.weights,
        args.device,
        args.color,
        args.precision,
        memory_budget=args.memory_budget,
        tile_size=args.tile_size,
        tile_overlap=args.tile_overlap,
    )
    if fuse.device_type == 'cpu':
        keep_freed_memory()
    return fuse


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not 1 or more')
    return value


def run_fuse(args: argparse.Namespace) -> int:
    """Fuse; a pair that cannot be used does not stop the others.

    Args:
        args: Parsed arguments of ``fuse``.

    Returns:
        0 if all pairs were fused, 1 if some could not be, 2 if the run could not start.
    """
    from rich.progress import track

    from .apis import FailedPair, resolve_pairs
    from .apis.results import check_outputs
    from .utils.output_files import OutputError

    try:
        pairs, failures = resolve_pairs((args.source1, args.source2), tuple(args.suffixes))
        check_outputs(pairs, args.out_dir, args.parts)
        fuse = _make_inferencer(args)
    except (ValueError, OSError) as error:
        print(f'mmdefusion fuse: error: {error}', file=sys.stderr)
        return 2
    fused = 0
    results = fuse.stream(pairs, args.batch_size, args.parts, args.out_dir)
    try:
        for result in track(results, 'Fusing', total=len(pairs)):
            if isinstance(result, FailedPair):
                failures[result.name] = result.reason
            else:
                fused += 1
    except OutputError as error:
        # The next pair would fail in the same way.
        print(f'mmdefusion fuse: error: {error}; {fused} of {len(pairs)} pairs were fused before', file=sys.stderr)
        return 1
    print(f'{fused} of {fused + len(failures)} pairs fused into {args.out_dir}')
    if failures:
        print(f'{len(failures)} could not be fused:', file=sys.stderr)
        for reason in failures.values():
            print(f'  {reason}', file=sys.stderr)
    return 1 if failures else 0


def run_video(args: argparse.Namespace) -> int:
    """Fuse two streams.

    Args:
        args: Parsed arguments of ``video``.

    Returns:
        0 if all frames were fused, 2 otherwise.
    """
    from .apis import fuse_video

    try:
        done = fuse_video(_make_inferencer(args), args.source1, args.source2, args.out, args.fps, args.batch_size)
    except (ValueError, OSError) as error:
        print(f'mmdefusion video: error: {error}', file=sys.stderr)
        return 2
    rate = f' at {done.fps:g} frames per second' if done.fps else ''
    print(f'{done.frames} frames fused into {done.path}{rate}, {"with" if done.audio else "without"} sound')
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments; default those of the process.

    Returns:
        Exit code.
    """
    args = build_parser().parse_args(argv)
    return args.run(args)


if __name__ == '__main__':
    sys.exit(main())
