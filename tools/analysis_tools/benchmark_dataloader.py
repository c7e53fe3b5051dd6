# Copyright (c) mmdefusion authors. All rights reserved.
"""Measures how fast photos are loaded from a folder, tar shards and LMDB, against how fast a network trains on them."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice, repeat
from pathlib import Path

import cv2
import torch
from mmengine.config import Config, DictAction
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

import mmdefusion  # noqa: F401  checks the environment before anything is built
from mmdefusion.datasets.converters import list_sources, pack_lmdb, pack_shards, shuffled
from mmdefusion.evaluation.report import write_json
from mmdefusion.utils.benchmark import environment_line
from mmdefusion.utils.output_files import output_file

STORES = ('folder', 'shards', 'lmdb')
#: Steps before timing begins. A forked worker shares the trainer's memory, whose pages are copied as the next steps
#: write to them.
WARM_UP_STEPS = 3


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description='Benchmark data loading; network, pipeline and batch size of a config')
    parser.add_argument('config', help='a pretraining config')
    parser.add_argument('photos', help='folder of photos; packed copies are made for the time of the measurement')
    parser.add_argument('--stores', nargs='+', choices=STORES, default=STORES, help='default: all of them')
    parser.add_argument('--workers', nargs='+', type=int, default=[1, 2, 4], help='default 1 2 4')
    parser.add_argument('--batches', type=int, default=40, help='timed batches of each round (default 40)')
    parser.add_argument('--steps', type=int, default=20, help='timed training steps of each round (default 20)')
    parser.add_argument('--rounds', type=int, default=3, help='rounds; the median counts (default 3)')
    parser.add_argument('--limit', type=int, help='only so many photos')
    parser.add_argument('--samples-per-shard', type=int, default=500, help='default 500')
    parser.add_argument('--pack-dir', help='parent of the packed copies; default a temporary folder')
    parser.add_argument('--cold', action='store_true', help="drop the files from the system's cache before each round")
    parser.add_argument('--threads', type=int, help="threads of training; default: PyTorch's own choice")
    parser.add_argument('--device', default='cpu', help='default cpu')
    parser.add_argument('--out', type=output_file, help='JSON file to write')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='override settings of the config')
    args = parser.parse_args()
    limit = 1 if args.limit is None else args.limit
    if min(args.batches, args.steps, args.rounds, args.samples_per_shard, limit) < 1 or min(args.workers) < 0:
        parser.error('--batches, --steps, --rounds, --limit and --samples-per-shard count from 1, --workers from 0')
    return args


class LoaderBenchmark:
    """Measures loaders over the same photos.

    Args:
        cfg: Gives network, pipeline, batch size and optimizer.
        args: The command line.
        folder: Where the packed copies go.
    """

    def __init__(self, cfg: Config, args: argparse.Namespace, folder: Path) -> None:
        self.cfg = cfg
        self.args = args
        self.batch_size = cfg.train_dataloader.batch_size
        self.folder = folder
        sources = shuffled(list_sources(args.photos), 0)[: args.limit]
        self.photos = [source.paths['img'] for source in sources]
        (folder / 'photos.txt').write_text(
            ''.join(f'{Path(path).relative_to(args.photos).as_posix()}\n' for path in sorted(self.photos))
        )
        if 'shards' in args.stores:
            pack_shards(sources, str(folder / 'shards'), args.samples_per_shard)
        if 'lmdb' in args.stores:
            pack_lmdb(sources, str(folder / 'photos.lmdb'))

    def files(self, store: str) -> list[str]:
        """What a store reads."""
        if store == 'folder':
            return self.photos
        return [str(path) for path in (self.folder / dict(shards='shards', lmdb='photos.lmdb')[store]).iterdir()]

    def loader(self, store: str, workers: int) -> DataLoader:
        """A loader that never ends."""
        dataset = dict(
            folder=dict(
                type='ImageFolderDataset',
                data_root='',
                data_prefix=dict(img_path=self.args.photos),
                ann_file=str((self.folder / 'photos.txt').resolve()),
            ),
            shards=dict(type='ShardDataset', data_root=str(self.folder / 'shards')),
            lmdb=dict(type='LmdbDataset', data_root=str(self.folder / 'photos.lmdb')),
        )[store]
        cfg = dict(
            batch_size=self.batch_size,
            num_workers=workers,
            dataset=dict(dataset, pipeline=self.cfg.train_dataloader.dataset.pipeline),
            sampler=dict(type='InfiniteSampler', shuffle=True),
        )
        if store == 'shards':
            cfg.update(
                sampler=dict(type='DefaultSampler', shuffle=True),
                batch_sampler=dict(type='ShardBatchSampler', num_streams=max(1, workers), infinite=True),
            )
        return Runner.build_dataloader(cfg, seed=0)

    def batches(self, store: str, workers: int) -> Iterator[dict]:
        """Batches, after those that the workers load ahead."""
        if self.args.cold:
            for path in self.files(store):
                descriptor = os.open(path, os.O_RDONLY)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)
        iterator = iter(self.loader(store, workers))
        for _ in range(2 * workers + 1):
            next(iterator)
        return iterator

    def cpu_milliseconds(self, store: str) -> float:
        """Processor time of one sample: unlike the rates, it does not depend on what else the machine does."""
        iterator = self.batches(store, 0)
        start = time.process_time()
        for _ in islice(iterator, self.args.batches):
            pass
        return (time.process_time() - start) / (self.args.batches * self.batch_size) * 1e3

    def loading_rate(self, store: str, workers: int) -> float:
        """Samples per second of a loader alone."""
        iterator = self.batches(store, workers)
        start = time.perf_counter()
        for _ in islice(iterator, self.args.batches):
            pass
        return self.args.batches * self.batch_size / (time.perf_counter() - start)

    def trainer(self) -> tuple:
        """The network and its optimizer."""
        torch.manual_seed(0)
        with MODELS.switch_scope_and_registry('mmdefusion') as registry:
            model = registry.build(self.cfg.model)
        model.to(self.args.device).train()
        return model, build_optim_wrapper(model, self.cfg.optim_wrapper)

    def training(self, trainer: tuple, batches: Iterator[dict]) -> dict[str, float]:
        """Samples per second of training, and the share of the time in which it waits for data."""
        model, optim_wrapper = trainer
        for batch in islice(batches, WARM_UP_STEPS):
            model.train_step(batch, optim_wrapper)
        waited, start = 0.0, time.perf_counter()
        for _ in range(self.args.steps):
            before = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - before
            # The loss is fetched as a runner does for its log, so a step has ended on a GPU, too.
            model.train_step(batch, optim_wrapper)['loss'].item()
        seconds = time.perf_counter() - start
        return dict(rate=self.args.steps * self.batch_size / seconds, waiting=waited / seconds)

    def run(self) -> dict:
        """All measurements, the alternatives in turn within each round."""
        trainer = self.trainer()
        batch = next(self.batches(self.args.stores[0], 0))
        alone, rows = [], {(store, workers): [] for store in self.args.stores for workers in self.args.workers}
        cpu = {store: [] for store in self.args.stores}
        for _ in range(self.args.rounds):
            alone.append(self.training(trainer, repeat(batch))['rate'])
            for store in self.args.stores:
                cpu[store].append(self.cpu_milliseconds(store))
            for (store, workers), row in rows.items():
                loading = self.loading_rate(store, workers)
                row.append(dict(loading=loading, **self.training(trainer, self.batches(store, workers))))
        return dict(
            photos=len(self.photos),
            batch_size=self.batch_size,
            training_alone=_spread(alone),
            cpu_milliseconds={store: _spread(values) for store, values in cpu.items()},
            loaders=[
                dict(
                    store=store,
                    workers=workers,
                    loading_rate=_spread([entry['loading'] for entry in row]),
                    training_rate=_spread([entry['rate'] for entry in row]),
                    waiting=_spread([entry['waiting'] for entry in row]),
                )
                for (store, workers), row in rows.items()
            ],
        )


def _spread(values: list[float]) -> dict[str, float]:
    """Median and extremes."""
    ordered = torch.tensor(values, dtype=torch.float64).sort().values
    return dict(median=ordered.quantile(0.5).item(), low=ordered[0].item(), high=ordered[-1].item())


def print_table(report: dict) -> None:
    """Prints the report as a table."""
    alone = report['training_alone']['median']
    print(f'training alone: {alone:.1f} samples/s, batches of {report["batch_size"]}')
    for store, value in report['cpu_milliseconds'].items():
        print(f'{store}: {value["median"]:.2f} ms of processor time a sample')
    print('| store | workers | loading, samples/s | of training alone | training, samples/s | waiting for data |')
    print('|---|---|---|---|---|---|')
    for row in report['loaders']:
        loading, training = (
            f'{{median:{form}}} ({{low:{form}}}-{{high:{form}}})'.format(**row[key])
            for key, form in (('loading_rate', '.0f'), ('training_rate', '.1f'))
        )
        share = row['loading_rate']['median'] / alone
        print(
            f'| {row["store"]} | {row["workers"]} | {loading} | {share:.1f}x | {training} '
            f'| {row["waiting"]["median"]:.1%} |'
        )


def main() -> None:
    """Measures, prints and writes."""
    args = parse_args()
    cv2.setNumThreads(0)
    if args.threads:
        torch.set_num_threads(args.threads)
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    init_default_scope('mmdefusion')
    environment = environment_line(args.device)
    print(environment, flush=True)
    with tempfile.TemporaryDirectory(dir=args.pack_dir) as folder:
        try:
            benchmark = LoaderBenchmark(cfg, args, Path(folder))
        except (ImportError, OSError, ValueError) as error:
            sys.exit(f'Error: {error}')
        report = benchmark.run()
    print_table(report)
    if args.out:
        write_json(args.out, dict(config=str(args.config), environment=environment, cold=args.cold, **report))


if __name__ == '__main__':
    main()
