# Copyright (c) mmdefusion authors. All rights reserved.
"""Packing of folders into tar shards or an LMDB, with checks."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmdefusion.utils.image_io import read_image
from mmdefusion.utils.output_files import OutputError, temporary_beside

from ..packed.addresses import LMDB_SUFFIX
from ..packed.index import INDEX_NAME, PLAIN_NAME, ROLES, LmdbIndex, Shard, ShardIndex
from ..packed.stream import import_webdataset
from ..paired_image import PairedImageDataset
from ..single_image import ImageFolderDataset

_SHOWN_PROBLEMS = 20
# Keys of LMDB may have 511 bytes; roles and suffixes come on top of a name.
_LONGEST_NAME = 480


class PackSource(NamedTuple):
    """One sample.

    Attributes:
        name: What it is called in the shard: no dots, which end a name there.
        paths: Its files by role, ``img`` and, for pairs, ``partner`` and ``gt``.
    """

    name: str
    paths: dict[str, str]

    def read(self) -> dict[str, bytes]:
        """The files' contents, by what follows the name: ``.jpg``, or ``.img.jpg`` and ``.partner.png``.

        Raises:
            ValueError: A file cannot be decoded, or differs in size from the first one.
        """
        contents, first = {}, None
        for role, path in self.paths.items():
            height, width = read_image(path).bgr.shape[:2]
            first = first or (width, height)
            if (width, height) != first:
                raise ValueError(
                    f'{path}: {width} x {height} pixels (width x height); expected the size of its partner '
                    f'{self.paths["img"]}, {first[0]} x {first[1]}'
                )
            suffix = Path(path).suffix.lower()
            contents[suffix if len(self.paths) == 1 else f'.{role}{suffix}'] = Path(path).read_bytes()
        return contents


def list_sources(
    img: str, partner: str | None = None, gt: str | None = None, ann_file: str = '', subset: str = 'all'
) -> list[PackSource]:
    """Finds the samples of folders, by the rules of ``ImageFolderDataset`` and ``PairedImageDataset``.

    Args:
        img: Folder of photos, or of the first sources.
        partner: Folder of the second sources; images are partners by their stems.
        gt: Folder of the truths.
        ann_file: List of the names to take.
        subset: ``'train'`` or ``'val'``, for photos: without every 20th, or every 20th only.

    Raises:
        FileNotFoundError, ValueError: Something is missing, an image has no partner, or two samples would have the same
            name.
    """
    if partner is None:
        records = ImageFolderDataset(
            data_root='', data_prefix=dict(img_path=img), ann_file=ann_file, subset=subset, serialize_data=False
        ).data_list
    else:
        prefix = dict(img_path=img, partner_path=partner, **({} if gt is None else dict(gt_path=gt)))
        records = PairedImageDataset(
            data_root='', data_prefix=prefix, ann_file=ann_file, serialize_data=False
        ).data_list
    sources: dict[str, PackSource] = {}
    for record in records:
        name = record.get('name') or Path(record['img_path']).relative_to(img).with_suffix('').as_posix()
        source = PackSource(name.replace('.', '_'), {role: record[key] for role, key in ROLES.items() if key in record})
        other = sources.setdefault(source.name, source)
        if other is not source and other.paths == source.paths:
            raise ValueError(f'{source.paths["img"]} is listed twice in {ann_file}')
        if other is not source:
            raise ValueError(
                f'{source.paths["img"]} and {other.paths["img"]} would both be {source.name} in the shards (a dot '
                'becomes "_" there); expected names that differ in more than suffixes and dots'
            )
        if len(source.name.encode()) > _LONGEST_NAME or not source.name.isascii():
            raise ValueError(f'{source.paths["img"]}: expected a name of at most {_LONGEST_NAME} ASCII characters')
    if not sources:
        raise ValueError(f'{img}: no samples to pack')
    return list(sources.values())


def shuffled(sources: Sequence[PackSource], seed: int) -> list[PackSource]:
    """The samples in a random order: neighbours in a shard are read together."""
    return [sources[place] for place in np.random.default_rng(seed).permutation(len(sources))]


def pack_shards(
    sources: Sequence[PackSource], out_dir: str, samples_per_shard: int = 1000, prefix: str = 'shard', workers: int = 1
) -> ShardIndex:
    """Writes tar shards and their index.

    The folder appears when everything in it is complete. What lay there before is never touched.

    Args:
        sources: The samples, at least one.
        out_dir: Folder to make; it must not exist, or be empty.
        samples_per_shard: Samples in each tar, fewer in the last one.
        prefix: The tars are called ``PREFIX-000000.tar`` and so on.
        workers: Threads that decode images to check them.

    Returns:
        The index.

    Raises:
        ImportError: webdataset is not installed.
        FileExistsError: There is something at ``out_dir``.
        ValueError: Files cannot be decoded, or partners differ in size; one error lists all of them.
        OutputError: Something cannot be written.
    """
    webdataset = import_webdataset()
    # The library reads nothing of folders called so.
    passed_over = [source.paths['img'] for source in sources if re.match('__[^/]*__(/|$)', source.name)]
    if passed_over:
        raise ValueError(f'{passed_over[0]}: readers of tar shards pass over folders called __NAME__; expected another')
    if samples_per_shard < 1:
        raise ValueError(f'samples_per_shard must be at least 1, found {samples_per_shard}')
    if not PLAIN_NAME.fullmatch(prefix):
        raise ValueError(f'the prefix of shards is {prefix!r}; expected letters, digits, ".", "_", "-"')
    shards = []
    with _new_folder(out_dir) as folder:
        contents = _checked(sources, workers)
        for begin in range(0, len(sources), samples_per_shard):
            count = min(samples_per_shard, len(sources) - begin)
            path = folder / f'{prefix}-{len(shards):06}.tar'
            with path.open('wb') as file:
                # Plain contents, no time of writing: the same files make the same shards.
                writer = webdataset.TarWriter(file, encoder=False, mtime=0, format='PAX_FORMAT')
                for source, files in islice(contents, count):
                    writer.write({'__key__': source.name, **{name[1:]: content for name, content in files.items()}})
                writer.close()
            shards.append(Shard(path.name, count, path.stat().st_size))
        # Whatever is wrong with the last shard's files shows here.
        next(contents, None)
        index = ShardIndex(tuple(sources[0].paths), tuple(shards))
        (folder / INDEX_NAME).write_text(json.dumps(index.to_json(), indent=1) + '\n')
    return index


def pack_lmdb(sources: Sequence[PackSource], out_dir: str, workers: int = 1) -> LmdbIndex:
    """Writes an LMDB and its index, see :func:`pack_shards`.

    Args:
        sources: The samples, at least one.
        out_dir: Folder to make; its name ends with ``.lmdb``.
        workers: Threads that decode images to check them.
    """
    try:
        import lmdb
    except ImportError as error:
        raise ImportError(
            f'lmdb cannot be imported ({error}): run `pip install -r requirements/data.txt` in the root of the '
            'mmdefusion repository, or `pip install lmdb`'
        ) from error
    if not out_dir.rstrip('/').endswith(LMDB_SUFFIX):
        raise ValueError(f'{out_dir}: expected a name that ends with {LMDB_SUFFIX}')
    samples = []
    with _new_folder(out_dir) as folder:
        size = sum(Path(path).stat().st_size for source in sources for path in source.paths.values())
        # The map is an upper bound; on Linux the file takes what is written only.
        database = lmdb.open(str(folder), map_size=2 * size + 2**14 * len(sources) + 2**20)
        try:
            for batch in _batches(_checked(sources, workers), 1000):
                with database.begin(write=True) as transaction:
                    for source, files in batch:
                        keys = [source.name + suffix for suffix in files]
                        for key, content in zip(keys, files.values(), strict=True):
                            transaction.put(key.encode(), content)
                        samples.append(tuple(keys))
        except lmdb.Error as error:
            raise OutputError(f'{out_dir}: cannot be written ({error})') from error
        finally:
            database.close()
        index = LmdbIndex(tuple(sources[0].paths), tuple(samples))
        (folder / INDEX_NAME).write_text(json.dumps(index.to_json()) + '\n')
    return index


def _checked(sources: Sequence[PackSource], workers: int) -> Iterator[tuple[PackSource, dict[str, bytes]]]:
    """Samples and their contents in order.

    Raises:
        ValueError: Some cannot be used; all are looked at first.
    """

    def read(source: PackSource) -> dict[str, bytes] | ValueError:
        try:
            return source.read()
        except ValueError as error:
            return error

    problems = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        # In portions: a pool would read ahead without an end.
        for portion in _batches(sources, 64 * max(1, workers)):
            for source, found in zip(portion, pool.map(read, portion), strict=True):
                if isinstance(found, ValueError):
                    problems.append(str(found))
                elif not problems:
                    yield source, found
    if problems:
        lines = problems[:_SHOWN_PROBLEMS]
        if len(problems) > _SHOWN_PROBLEMS:
            lines.append(f'... and {len(problems) - _SHOWN_PROBLEMS} more')
        raise ValueError(f'{len(problems)} of the {len(sources)} samples cannot be packed:\n  ' + '\n  '.join(lines))


def _batches(items: Iterable, size: int) -> Iterator[list]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


@contextmanager
def _new_folder(path: str) -> Iterator[Path]:
    """A folder beside the place of ``path`` that is moved there after the block, or removed if that fails."""
    target = Path(path)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f'{target}: exists already, and is not overwritten; expected a new folder')
    temporary = temporary_beside(target)
    try:
        try:
            temporary.mkdir(parents=True)
            yield temporary
            temporary.replace(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise error if isinstance(error, OutputError) else OutputError.of(target, error) from error
