# Copyright (c) mmdefusion authors. All rights reserved.
"""The console command ``mmdefusion``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

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
    fuse.add_argument('--model', help="config file, or name of a model; default: the checkpoint's own config")
    fuse.add_argument('--weights', help='checkpoint; default: that of the named model')
    fuse.add_argument('--device', help='for example cpu or cuda:0; default: the best one at hand')
    fuse.add_argument(
        '--color',
        choices=COLOR_MODES,
        default='ycbcr',
        help="ycbcr fuses lumas and keeps the visible image's colours (default), rgb fuses colours, gray fuses lumas",
    )
    fuse.add_argument('--parts', action='store_true', help='also write common, unique1, unique2 and a panel')
    fuse.add_argument('--batch-size', type=_positive, default=1, help='pairs of one size to fuse at once (default 1)')
    fuse.add_argument(
        '--precision',
        choices=PRECISIONS,
        default='auto',
        help='auto: bfloat16 for 8-bit images on CPUs that have it, else float32 (default)',
    )
    fuse.set_defaults(run=run_fuse)
    return parser


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

    from .apis import FailedPair, FusionInferencer, resolve_pairs
    from .apis.results import check_outputs, write_result

    try:
        pairs, failures = resolve_pairs((args.source1, args.source2))
        check_outputs(pairs, args.out_dir, args.parts)
        fuse = FusionInferencer(args.model, args.weights, args.device, args.color, args.precision)
    except (ValueError, FileNotFoundError) as error:
        print(f'mmdefusion fuse: error: {error}', file=sys.stderr)
        return 2
    fused = 0
    for result in track(fuse.stream(pairs, args.batch_size, args.parts), 'Fusing', total=len(pairs)):
        if isinstance(result, FailedPair):
            failures[result.name] = result.reason
        else:
            write_result(result, args.out_dir)
            fused += 1
    print(f'{fused} of {fused + len(failures)} pairs fused into {args.out_dir}')
    if failures:
        print(f'{len(failures)} could not be fused:', file=sys.stderr)
        for reason in failures.values():
            print(f'  {reason}', file=sys.stderr)
    return 1 if failures else 0


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
