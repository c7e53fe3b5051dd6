# Copyright (c) mmdefusion authors. All rights reserved.
"""Measures speed and memory of a network, as ratios to the machine's own rates and to a plain convolution stack."""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from mmdefusion.apis import FusionInferencer
from mmdefusion.apis.fusion_inferencer import PRECISIONS
from mmdefusion.apis.tile_planner import TilePlanner
from mmdefusion.datasets.transforms import RandomCUDMasks
from mmdefusion.engine.optimizers.autocast_optim_wrapper import autocast_dtype
from mmdefusion.evaluation.report import write_json
from mmdefusion.structures import FusionDataSample
from mmdefusion.utils.benchmark import (
    ATTENTION_OPERATORS,
    MATRIX_FLOPS,
    ConvStack,
    FusedOnly,
    Timing,
    count_flops,
    count_flops_of_shape,
    environment_line,
    matrix_product,
    peak_memory,
    time_alternately,
)
from mmdefusion.utils.output_files import output_file
from mmdefusion.utils.setup_env import keep_freed_memory

SECTIONS = ('sizes', 'compile', 'export', 'pretrain', 'operations')


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description='Benchmark a network; random weights do')
    parser.add_argument('config', help='config of the network, for example configs/_base_/models/defusion-pp_nano.py')
    parser.add_argument('--sections', nargs='+', choices=SECTIONS, default=SECTIONS, help='default: all of them')
    parser.add_argument(
        '--sizes',
        nargs='+',
        type=_size,
        default=[_size(text) for text in ('320x240', '640x480', '1920x1080', '3840x2160')],
        metavar='WxH',
        help='default 320x240 640x480 1920x1080 3840x2160',
    )
    parser.add_argument('--repeats', type=int, default=10, help='timed runs of each alternative (default 10)')
    parser.add_argument('--max-seconds', type=float, default=60, help='time for each comparison (default 60)')
    parser.add_argument('--threads', type=int, help="threads; default: PyTorch's own choice")
    parser.add_argument('--device', default='cpu', help='default cpu')
    parser.add_argument(
        '--precision', choices=PRECISIONS, default='auto', help='auto: bfloat16 on CPUs that have it (default)'
    )
    parser.add_argument(
        '--memory-budget', type=float, default=1.0, metavar='GIB', help='of tiles whose operations count (default 1)'
    )
    parser.add_argument('--batch-size', type=int, default=16, help='photos of a pretraining step (default 16)')
    parser.add_argument('--crop-size', type=int, default=224, help='their side in pixels (default 224)')
    parser.add_argument('--out', type=output_file, help='JSON file to write')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='override settings of the config')
    args = parser.parse_args()
    if min(args.repeats, args.batch_size, args.crop_size) < 1:
        parser.error('--repeats, --batch-size and --crop-size count from 1')
    return args


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(side) for side in text.split('x'))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'{text} is not WIDTHxHEIGHT') from error
    if min(width, height) < 1:
        raise argparse.ArgumentTypeError(f'{text} has no pixels')
    return width, height


class Benchmark:
    """Measures one network.

    Args:
        cfg: Its config.
        args: The command line.
    """

    def __init__(self, cfg: Config, args: argparse.Namespace) -> None:
        self.cfg = cfg
        self.args = args
        self.device = torch.device(args.device).type
        self.dtype = autocast_dtype(args.precision, self.device)
        self.precision = 'float32' if self.dtype is None else 'bfloat16'
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / 'random.pth'
            torch.save(self.build().state_dict(), weights)
            # The budget is out of reach: images are measured as a whole.
            options = dict(precision=args.precision, memory_budget=float('inf'))
            self.fuse = FusionInferencer(cfg, str(weights), args.device, show_progress=False, **options)
        self.network = FusedOnly(self.fuse.model).requires_grad_(False)
        # Not bfloat16 for a float32 network: on a CPU that emulates it one product takes a minute.
        self.products = {
            name: matrix_product(getattr(torch, name), args.device) for name in sorted({self.precision, 'float32'})
        }

    def build(self) -> nn.Module:
        """The network with random weights."""
        with MODELS.switch_scope_and_registry('mmdefusion') as registry:
            return registry.build(self.cfg.model)

    def time(self, **functions: Callable[[], object]) -> dict[str, Timing]:
        """Times functions and the machine's matrix products in turn."""
        return time_alternately(
            {**functions, **self.products}, self.args.repeats, 1, self.args.max_seconds, self.args.device
        )

    def rates(self, timings: dict[str, Timing], flops: int, seconds: float) -> dict[str, object]:
        """GFLOP/s of the matrix products, and the share that a run of the network has of the one in its type."""
        rates = {f'{name}_gflops': MATRIX_FLOPS / timings[name].median / 1e9 for name in self.products}
        share = flops / seconds / 1e9 / rates[f'{self.precision}_gflops']
        return dict(rates, precision=self.precision, share_of_matrix_rate=share)

    def run(self, network: Callable, sources: tuple[Tensor, Tensor], dtype: torch.dtype | None) -> Callable[[], Tensor]:
        """The call of a network, by autocast if a type is given."""

        @torch.no_grad()
        def call() -> Tensor:
            with torch.autocast(self.device, dtype or torch.bfloat16, enabled=dtype is not None):
                return network(*sources)

        return call

    def sources(self, width: int, height: int) -> tuple[Tensor, Tensor]:
        """A pair of random lumas, which fusion works on unless it is told otherwise."""
        return tuple(torch.rand(2, 1, 1, height, width, device=self.args.device).expand(-1, -1, 3, -1, -1).contiguous())

    def autocast(self) -> torch.autocast:
        """Where the network runs in its own type."""
        return torch.autocast(self.device, self.dtype or torch.bfloat16, enabled=self.dtype is not None)

    def flops(self, sources: tuple[Tensor, Tensor]) -> int:
        """Floating-point operations of the network, without the rows that inference in strips repeats."""

        def call() -> None:
            with torch.enable_grad(), self.autocast():
                self.network(*sources)

        return count_flops(call)

    def size(self, width: int, height: int) -> dict:
        """Latency, throughput, share of the matrix rate, peak memory and the ratio to the convolution stack."""
        sources = self.sources(width, height)
        stack = ConvStack().eval().to(self.args.device)
        network = self.run(self.network, sources, self.dtype)
        others = dict(conv_stack=self.run(stack, sources, None))
        if self.dtype is not None:
            others['float32_network'] = self.run(self.network, sources, None)
        flops = self.flops(sources)
        images = tuple(
            np.random.default_rng(index).integers(0, 256, (height, width, 3), dtype=np.uint8) for index in (1, 2)
        )
        memory = peak_memory(network, self.args.device)
        timings = self.time(network=network, end_to_end=lambda: self.fuse(images), **others)
        seconds = timings['network'].median
        float32 = timings.get('float32_network', timings['network']).median
        rates = self.rates(timings, flops, seconds)
        return dict(
            size=f'{width}x{height}',
            gflop=flops / 1e9,
            seconds={name: timing._asdict() for name, timing in timings.items()},
            pairs_per_second=1 / seconds,
            megapixels_per_second=width * height / seconds / 1e6,
            peak_mib=None if memory is None else memory / 2**20,
            peak_bytes_per_pixel=None if memory is None else memory / (width * height),
            **rates,
            float32_share_of_float32_rate=flops / float32 / 1e9 / rates['float32_gflops'],
            times_faster_than_conv_stack=timings['conv_stack'].median / seconds,
        )

    def operations(self, width: int, height: int) -> list[dict]:
        """Floating-point operations by operator, of the whole image and in the tiles of the memory budget."""
        plan = TilePlanner.of_model(self.fuse.model, self.precision, self.args.memory_budget).plan(height, width)
        forms = dict(whole=Counter([(height, width)]))
        if plan is not None:
            rows, columns = ([span.stop - span.start for span in spans] for spans in plan)
            forms['tiles'] = Counter(itertools.product(rows, columns))
        found = []
        for form, tiles in forms.items():
            flops = Counter()
            for shape, count in tiles.items():
                flops.update({key: count * value for key, value in count_flops_of_shape(self.network, *shape).items()})
            attention, gflop = sum(flops[key] for key in ATTENTION_OPERATORS) / 1e9, flops.total() / 1e9
            megapixels = width * height / 1e6
            line = dict(attention_gflop_per_megapixel=attention / megapixels, gflop_per_megapixel=gflop / megapixels)
            line.update(size=f'{width}x{height}', form=form, tiles=tiles.total(), flops=dict(flops))
            found.append(dict(line, attention_gflop=attention, gflop=gflop))
        return found

    def alternative(self, make: Callable[[nn.Module, tuple[Tensor, Tensor]], Callable]) -> dict:
        """Another form of the network against the eager one, at 640x480 or, if that is not asked for, the first size.

        Args:
            make: Gives the other form from the network and example inputs.
        """
        width, height = (640, 480) if (640, 480) in self.args.sizes else self.args.sizes[0]
        sources = self.sources(width, height)
        eager = self.run(self.network, sources, self.dtype)

        @torch.no_grad()
        def convert() -> Callable:
            with self.autocast():
                return make(self.network, sources)

        expected = eager()
        other = self.run(convert(), sources, self.dtype)
        difference = (other() - expected).abs().max().item()
        timings = self.time(eager=eager, other=other)
        return dict(
            size=f'{width}x{height}',
            seconds={name: timings[name]._asdict() for name in ('eager', 'other')},
            times_faster_than_eager=timings['eager'].median / timings['other'].median,
            largest_difference=difference,
        )

    def pretrain(self) -> dict:
        """Pairs per second of a training step on photos, and its share of the matrix rate."""
        if self.device == 'cpu':
            keep_freed_memory()
        model = self.build().to(self.args.device).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
        side, batch = self.args.crop_size, self.args.batch_size
        photos = torch.rand(batch, 3, side, side, device=self.args.device)
        masks = RandomCUDMasks()
        samples = []
        for _ in range(batch):
            sample = FusionDataSample()
            sample.cud_masks = torch.from_numpy(masks.transform(dict(img=np.zeros((side, side, 3))))['cud_masks'])
            samples.append(sample.to(self.args.device))

        def step() -> None:
            with self.autocast():
                losses = model.loss(photos, samples)
            sum(losses.values()).backward()
            optimizer.step()
            optimizer.zero_grad()

        flops = count_flops(step)
        memory = peak_memory(step, self.args.device)
        timings = self.time(step=step)
        seconds = timings['step'].median
        return dict(
            crop_size=side,
            batch_size=batch,
            gflop=flops / 1e9,
            seconds=timings['step']._asdict(),
            pairs_per_second=batch / seconds,
            peak_mib=None if memory is None else memory / 2**20,
            **self.rates(timings, flops, seconds),
        )


def share_of_rate(found: dict) -> str:
    """In words."""
    precision = found['precision']
    return f'{found["share_of_matrix_rate"]:.0%} of the {precision} rate ({found[f"{precision}_gflops"]:.0f} GFLOP/s)'


def print_size(found: dict) -> None:
    """Prints one line of the table of sizes."""
    seconds = found['seconds']
    spread = f'{seconds["network"]["low"]:.3f}-{seconds["network"]["high"]:.3f}'
    memory = 'unknown' if found['peak_mib'] is None else f'{found["peak_mib"]:.0f} MiB'
    print(
        f'{found["size"]:>10}: {seconds["network"]["median"]:.3f} s ({spread}), with colours and arrays '
        f'{seconds["end_to_end"]["median"]:.3f} s, {found["megapixels_per_second"]:.2f} Mpx/s, {memory}, '
        f'{found["gflop"]:.1f} GFLOP, {share_of_rate(found)}, {found["times_faster_than_conv_stack"]:.2f} times as '
        'fast as the convolution stack',
        flush=True,
    )


def print_operations(found: dict) -> None:
    """Prints one line of the table of operations."""
    form = 'whole' if found['form'] == 'whole' else f'{found["tiles"]} tiles'
    print(
        f'{found["size"]:>10}, {form}: attention {found["attention_gflop"]:.2f} GFLOP '
        f'({found["attention_gflop_per_megapixel"]:.2f} a megapixel), all {found["gflop"]:.1f} GFLOP '
        f'({found["gflop_per_megapixel"]:.1f} a megapixel)',
        flush=True,
    )


def main() -> int:
    """Measures, prints and writes."""
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    init_default_scope('mmdefusion')
    torch.manual_seed(0)
    benchmark = Benchmark(cfg, args)
    report = dict(config=str(args.config), environment=environment_line(args.device), sizes=[])
    print(report['environment'], flush=True)
    if 'sizes' in args.sections:
        for width, height in args.sizes:
            report['sizes'].append(benchmark.size(width, height))
            print_size(report['sizes'][-1])
    forms = dict(
        compile=lambda network, sources: torch.compile(network),
        export=lambda network, sources: torch.export.export(network, sources).module(),
    )
    for name, make in forms.items():
        if name not in args.sections:
            continue
        if name == 'compile' and not any(shutil.which(compiler) for compiler in ('c++', 'g++', 'clang++', 'cl')):
            print('compile: left out, there is no C++ compiler')
            continue
        report[name] = benchmark.alternative(make)
        found = report[name]
        print(f'{name}: {found["times_faster_than_eager"]:.2f} times as fast as eager at {found["size"]}', flush=True)
    if 'pretrain' in args.sections:
        report['pretrain'] = found = benchmark.pretrain()
        print(
            f'pretrain: {found["pairs_per_second"]:.1f} pairs/s at {found["crop_size"]} pixels, batch '
            f'{found["batch_size"]}, {share_of_rate(found)}'
        )
    if 'operations' in args.sections:
        # Last of all: what the network keeps for a size has no values after this.
        report['operations'] = [line for size in args.sizes for line in benchmark.operations(*size)]
        for found in report['operations']:
            print_operations(found)
    if args.out:
        write_json(args.out, report)
    return 0


if __name__ == '__main__':
    sys.exit(main())
