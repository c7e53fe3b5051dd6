# Copyright (c) mmdefusion authors. All rights reserved.
import os
import tracemalloc

import cv2
import numpy as np
import pytest
import tifffile

from mmdefusion import cli
from mmdefusion.apis import FusionInferencer
from mmdefusion.apis.tile_planner import BYTES_PER_PIXEL, GIB
from mmdefusion.utils.image_io import ImageReadError, write_image
from mmdefusion.utils.image_stream import TiffOutput
from mmdefusion.utils.output_files import OutputError

# The model of conftest.py fuses pixel by pixel, so that tiles must change nothing.
SHAPE = (150, 260)
TILES = dict(tile_size=192, tile_overlap=64)
#: Below 16 bytes for each pixel of the pair: the files are read region by region.
ON_DISK = dict(memory_budget=10 * 150 * 260 / GIB)


def make(checkpoint, **options):
    options = dict(precision='float32', device='cpu', show_progress=False) | options
    return FusionInferencer(None, checkpoint, **options)


def sources(dtype):
    rng = np.random.default_rng(0)
    top = np.iinfo(dtype).max
    return [rng.integers(0.35 * top, 0.65 * top, (*SHAPE, 3)).astype(dtype) for _ in range(2)]


@pytest.fixture(params=[np.uint8, np.uint16], ids=['8 bits', '16 bits'])
def pair(request):
    return tuple(sources(request.param))


def save(tmp_path, pair, **options):
    paths = []
    for folder, pixels in zip(('vi', 'ir'), pair, strict=True):
        path = tmp_path / folder / 'a.tif'
        path.parent.mkdir()
        tifffile.imwrite(path, pixels[..., ::-1], photometric='rgb', **options)
        paths.append(str(path))
    return tuple(paths)


@pytest.mark.parametrize('color', ['ycbcr', 'rgb', 'gray'])
def test_in_memory(checkpoint, pair, color):
    whole, tiled = make(checkpoint, color=color), make(checkpoint, color=color, **TILES)
    expected = whole(pair, parts=True, return_datasamples=True)
    result = tiled(pair, parts=True, return_datasamples=True)
    assert len(tiled.model.batches) == 2 and tiled.model.batches[0] == (1, 6, 150, 192)
    step = 1.01 / (255 if pair[0].dtype == np.uint8 else 65535)
    for name in ('fused', 'common', 'unique1', 'unique2'):
        found, whole_map = (r['predictions'][0].get(f'pred_{name}') for r in (result, expected))
        if name != 'fused' and color != 'rgb':
            # A part is luma; the network gives it in three equal channels.
            whole_map = whole_map[:1]
        np.testing.assert_allclose(found, whole_map, atol=step)
    assert result['visualization'][0].shape == expected['visualization'][0].shape
    assert np.abs(result['visualization'][0].astype(int) - expected['visualization'][0]).max() <= 1
    # Sums of weights differ from 1 by a rounding error, which 16 bits can show.
    atol = int(pair[0].dtype == np.uint16)
    np.testing.assert_allclose(tiled(pair)['predictions'][0], whole(pair)['predictions'][0].astype(int), atol=atol)


def budget(pixels):
    return dict(memory_budget=pixels * BYTES_PER_PIXEL['float32'] / GIB)


@pytest.mark.parametrize('batch_size, batches', [(1, [1] * 5), (2, [2, 2, 1]), (8, [3, 2])])
def test_the_budget_holds_for_a_batch(checkpoint, batch_size, batches):
    images = np.random.default_rng(0).integers(0, 256, (5, 2, 30, 40), dtype=np.uint8)
    pairs = [tuple(pair) for pair in images]
    # Three pairs and a part of a fourth one.
    fuse = make(checkpoint, **budget(3.9 * 30 * 40))
    fused = fuse(pairs, batch_size=batch_size)['predictions']
    assert fuse.model.batches == [(count, 6, 30, 40) for count in batches]
    np.testing.assert_array_equal(fused, make(checkpoint)(pairs)['predictions'])


@pytest.mark.parametrize('batch_size', [1, 4])
def test_the_budget_alone_asks_for_tiles(checkpoint, pair, batch_size):
    # An image has 150 x 260 = 39000 pixels; tiles start at multiples of 64 and share 128.
    fuse = make(checkpoint, **budget(38500))
    fused = fuse([pair, pair], batch_size=batch_size)['predictions']
    assert fuse.model.batches == [(1, 6, 150, 256), (1, 6, 150, 132)] * 2
    expected = make(checkpoint, **budget(39000))
    for image in fused:
        np.testing.assert_allclose(
            image, expected(pair)['predictions'][0].astype(int), atol=int(pair[0].dtype == np.uint16)
        )
    assert expected.model.batches == [(1, 6, 150, 260)] * 2


def test_small_images_stay_whole(checkpoint, pair):
    fuse = make(checkpoint, **TILES)
    small = tuple(image[:, :192] for image in pair)
    assert fuse(small, return_datasamples=True)['predictions'][0].pred_fused.shape == (3, 150, 192)
    assert fuse.model.batches == [(1, 6, 150, 192)]


@pytest.mark.parametrize('color', ['ycbcr', 'gray'])
@pytest.mark.parametrize('options', [dict(), dict(compression='zlib', rowsperstrip=8)], ids=['raw', 'zlib'])
def test_from_disk_to_disk(tmp_path, checkpoint, pair, color, options):
    paths = save(tmp_path, pair, **options)
    expected = make(checkpoint, color=color)(pair)['predictions'][0]
    fuse = make(checkpoint, color=color, **TILES, **ON_DISK)
    results = fuse(paths, out_dir=tmp_path / 'out', parts=True)
    assert sorted(os.listdir(tmp_path / 'out')) == ['a.tif', 'common', 'unique1', 'unique2']
    fused = cv2.imread(str(tmp_path / 'out' / 'a.tif'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(fused, expected.astype(int), atol=int(pair[0].dtype == np.uint16))
    assert isinstance(results['predictions'][0], np.memmap) and results['visualization'] == []
    np.testing.assert_array_equal(results['predictions'][0], fused)
    common = cv2.imread(str(tmp_path / 'out' / 'common' / 'a.tif'), cv2.IMREAD_UNCHANGED)
    assert common.shape == SHAPE and common.dtype == pair[0].dtype


def test_a_tile_may_be_larger_than_an_image_on_disk(tmp_path, checkpoint, pair):
    fuse = make(checkpoint, tile_size=320, tile_overlap=64, **ON_DISK)
    result = fuse(save(tmp_path, pair), out_dir=tmp_path / 'out')['predictions'][0]
    assert fuse.model.batches == [(1, 6, *SHAPE)] and os.listdir(tmp_path / 'out') == ['a.tif']
    atol = int(pair[0].dtype == np.uint16)
    np.testing.assert_allclose(result.astype(int), make(checkpoint)(pair)['predictions'][0], atol=atol)


def test_without_a_folder_the_result_stays_in_memory(tmp_path, checkpoint, pair):
    fused = make(checkpoint, **TILES, **ON_DISK)(save(tmp_path, pair))['predictions'][0]
    expected = make(checkpoint)(pair)['predictions'][0]
    np.testing.assert_allclose(fused, expected.astype(int), atol=int(pair[0].dtype == np.uint16))


def test_a_source_is_not_overwritten_from_disk_to_disk(tmp_path, checkpoint):
    paths = save(tmp_path, sources(np.uint8))
    with pytest.raises(ValueError, match='vi/a.tif: would overwrite a source'):
        make(checkpoint, **TILES, **ON_DISK)(paths, out_dir=tmp_path / 'vi')


def test_sizes_are_compared_before_reading(tmp_path, checkpoint):
    pair = sources(np.uint8)
    paths = save(tmp_path, (pair[0], pair[1][:, :-1]))
    with pytest.raises(ImageReadError, match='ir/a.tif: 259 x 150 pixels .* expected .*vi/a.tif, 260 x 150'):
        make(checkpoint, **ON_DISK)(paths)


def test_a_source_that_breaks_off_leaves_nothing(tmp_path, checkpoint):
    # Not one of the rows that tell whether the image has colours.
    paths = save(tmp_path, sources(np.uint8), compression='zlib', rowsperstrip=8)
    with tifffile.TiffFile(paths[1]) as tiff:
        offset = tiff.pages[0].dataoffsets[10]
    with open(paths[1], 'r+b') as file:
        file.seek(offset)
        file.write(b'\xff' * 64)
    with pytest.raises(ImageReadError, match='ir/a.tif: segment 10 cannot be decoded'):
        make(checkpoint, tile_size=96, tile_overlap=0, **ON_DISK)(paths, out_dir=tmp_path / 'out')
    assert os.listdir(tmp_path / 'out') == []


def test_full_disk_keeps_what_was_written(tmp_path, checkpoint, monkeypatch, capsys):
    for folder in ('vi', 'ir'):
        for name in 'abc':
            write_image(tmp_path / folder / f'{name}.png', np.full((8, 8), 100, np.uint8))
    write, written = os.replace, []

    def replace(source, target):
        if len(written) == 2:
            raise OSError(28, 'No space left on device')
        written.append(target)
        write(source, target)

    monkeypatch.setattr(os, 'replace', replace)
    command = ['fuse', str(tmp_path / 'vi'), str(tmp_path / 'ir'), '-o', str(tmp_path / 'out')]
    assert cli.main([*command, '--weights', checkpoint, '--device', 'cpu']) == 1
    assert 'out/c.png: cannot be written (No space left on device); 2 of 3 pairs were' in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path / 'out')) == ['a.png', 'b.png']
    assert cv2.imread(str(tmp_path / 'out' / 'b.png')).mean() == 100


def test_read_only_folder_is_found_before_fusing(tmp_path, checkpoint, monkeypatch, capsys):
    pair = sources(np.uint8)
    # The owner of the tests may be allowed to write anywhere.
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    fuse = make(checkpoint)
    with pytest.raises(OutputError, match='the folder is read-only'):
        fuse(tuple(pair), out_dir=tmp_path / 'new' / 'out')
    assert fuse.model.batches == []
    paths = save(tmp_path, pair)
    assert cli.main(['fuse', *paths, '-o', str(tmp_path / 'out'), '--weights', checkpoint]) == 2
    assert f'error: {tmp_path}: the folder is read-only' in capsys.readouterr().err


def test_interrupted_tile_output_leaves_nothing(tmp_path, checkpoint, monkeypatch):
    paths = save(tmp_path, sources(np.uint8))

    def full(self, region, pixels):
        raise OutputError(f'{self.path}: cannot be written (No space left on device)')

    monkeypatch.setattr(TiffOutput, '__setitem__', full)
    with pytest.raises(OutputError, match='No space left'):
        make(checkpoint, **TILES, **ON_DISK)(paths, out_dir=tmp_path / 'out')
    assert os.listdir(tmp_path / 'out') == []


def test_memory_does_not_depend_on_the_size(tmp_path, checkpoint):
    fuse = make(checkpoint, tile_size=512, memory_budget=2**20 / GIB)
    peaks = []
    # Heights that tiles of one size fill: 128 + 384 k. The first run warms caches up.
    for height in (1280, 1280, 4736):
        folder = tmp_path / f'{height}-{len(peaks)}'
        folder.mkdir()
        pixels = np.tile(np.arange(1024, dtype=np.uint8)[:, None], (height, 1, 3))
        paths = save(folder, (pixels, pixels))
        del pixels
        tracemalloc.start()
        fuse(paths, out_dir=folder / 'out')
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert os.listdir(folder / 'out') == ['a.tif']
    # One of the larger images is 14 MiB, one of the smaller 4 MiB.
    assert peaks[2] - peaks[1] < 2**20


@pytest.mark.parametrize('options', [['--memory-budget', '0'], ['--tile-size', '64'], ['--tile-overlap', '-1']])
def test_wrong_flags(tmp_path, checkpoint, options, capsys):
    paths = save(tmp_path, sources(np.uint8))
    assert cli.main(['fuse', *paths, '-o', str(tmp_path / 'out'), '--weights', checkpoint, *options]) == 2
    assert 'error: ' in capsys.readouterr().err


def test_flags(tmp_path, checkpoint):
    paths = save(tmp_path, sources(np.uint8))
    options = ['--memory-budget', str(ON_DISK['memory_budget']), '--tile-size', '192', '--tile-overlap', '64']
    command = ['fuse', *paths, '-o', str(tmp_path / 'out'), '--weights', checkpoint, '--device', 'cpu']
    assert cli.main([*command, *options]) == 0
    assert os.listdir(tmp_path / 'out') == ['a.tif']
