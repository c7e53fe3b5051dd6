# Copyright (c) mmdefusion authors. All rights reserved.
import os

import cv2
import numpy as np
import pytest
import tifffile

from mmdefusion.utils.image_io import ImageReadError, read_image
from mmdefusion.utils.image_stream import TiffImage, TiffOutput, open_tiff_array
from mmdefusion.utils.output_files import OutputError


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 65536, (45, 37, 3), dtype=np.uint16)


REGIONS = [(slice(0, 45), slice(0, 37)), (slice(3, 20), slice(30, 37)), (slice(44, 45), slice(0, 1))]


@pytest.mark.parametrize('kind', ['uint8', 'uint16', 'float32', 'gray', 'rgba'])
@pytest.mark.parametrize(
    'layout',
    [
        dict(),
        dict(rowsperstrip=7),
        dict(rowsperstrip=4, compression='zlib'),
        dict(rowsperstrip=4, compression='zlib', predictor=True),
        dict(tile=(16, 16)),
        dict(tile=(16, 16), compression='zlib'),
        dict(byteorder='>'),
    ],
    ids=str,
)
def test_regions_are_those_of_the_whole_image(tmp_path, pixels, kind, layout):
    options = dict(layout)
    if kind == 'uint8':
        pixels = (pixels >> 8).astype(np.uint8)
    elif kind == 'float32':
        if 'predictor' in options:
            pytest.skip('floats have a predictor of their own')
        pixels = (pixels / 65535).astype(np.float32)
    elif kind == 'gray':
        pixels = pixels[..., 0]
    elif kind == 'rgba':
        pixels = np.concatenate([pixels, pixels[..., :1]], axis=2)
    path = tmp_path / 'a.tif'
    byteorder = options.pop('byteorder', '<')
    extra = dict(extrasamples=['unassalpha']) if kind == 'rgba' else {}
    photometric = 'minisblack' if kind == 'gray' else 'rgb'
    with tifffile.TiffWriter(path, byteorder=byteorder) as writer:
        writer.write(pixels, photometric=photometric, **options, **extra)
    image = TiffImage.open(path)
    if layout and layout.get('tile') and len(image._page.dataoffsets if image else []) == 0:
        # Nine tiles are fewer than ten: better read as a whole.
        assert image is None
        return
    expected = read_image(path)
    assert image.shape == expected.bgr.shape and image.depth == expected.depth
    for region in REGIONS:
        np.testing.assert_array_equal(image[region], expected.bgr[region])
    image.close()


def write_whole_strip(path, pixels):
    tifffile.imwrite(path, pixels, photometric='rgb', compression='zlib', rowsperstrip=45)


def write_pages(path, pixels):
    tifffile.imwrite(path, np.stack([pixels] * 2), photometric='rgb')


def write_rotated(path, pixels):
    tifffile.imwrite(path, pixels, photometric='rgb', extratags=[(274, 'H', 1, 6, True)])


def write_planes(path, pixels):
    tifffile.imwrite(path, pixels.transpose(2, 0, 1), photometric='rgb', planarconfig='separate')


def write_inverted(path, pixels):
    tifffile.imwrite(path, pixels[..., 0], photometric='miniswhite')


def write_text(path, pixels):
    path.write_bytes(b'no image')


@pytest.mark.parametrize(
    'write', [write_whole_strip, write_pages, write_rotated, write_planes, write_inverted, write_text]
)
def test_other_layouts_are_left_to_the_ordinary_reader(tmp_path, pixels, write):
    write(tmp_path / 'a.tif', pixels)
    assert TiffImage.open(tmp_path / 'a.tif') is None
    assert TiffImage.open(tmp_path / 'missing.tif') is None
    assert TiffImage.open('a.png') is None


def test_truncated_file_names_the_row(tmp_path, pixels):
    path = tmp_path / 'a.tif'
    tifffile.imwrite(path, pixels, photometric='rgb', metadata=None)
    offset = TiffImage(path)._page.dataoffsets[0]
    os.truncate(path, offset + 40 * 37 * 6 + 10)
    image = TiffImage(path)
    assert image[:40, :].shape == (40, 37, 3)
    with pytest.raises(ImageReadError, match='a.tif: truncated in row 40; expected 45 whole rows'):
        image[:, :]


def test_nan_is_found_in_its_region(tmp_path):
    pixels = np.zeros((20, 8), np.float32)
    pixels[15, 3] = np.nan
    tifffile.imwrite(tmp_path / 'a.tif', pixels, photometric='minisblack')
    image = TiffImage.open(tmp_path / 'a.tif')
    assert image[:15, :].max() == 0
    with pytest.raises(ImageReadError, match='1 pixels are NaN or infinite'):
        image[10:, :]


@pytest.mark.parametrize('shape', [(45, 37, 3), (45, 37)])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_written_regions_make_the_image(tmp_path, shape, dtype):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    path = tmp_path / 'new' / 'a.tif'
    with TiffOutput(path, shape, dtype) as output:
        for rows in (slice(20, 45), slice(0, 20)):
            for columns in (slice(0, 5), slice(5, 37)):
                output[rows, columns] = pixels[rows, columns]
        assert not path.exists()
    assert os.listdir(path.parent) == ['a.tif']
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), pixels)
    np.testing.assert_array_equal(open_tiff_array(path), pixels)


@pytest.mark.filterwarnings('ignore::UserWarning')  # Pillow tells of what it finds.
@pytest.mark.parametrize('options', [dict(rowsperstrip=4), dict(rowsperstrip=4, compression='zlib')], ids=str)
def test_a_broken_file_gives_nothing_but_one_kind_of_error(tmp_path, options):
    path = tmp_path / 'a.tif'
    tifffile.imwrite(path, np.zeros((45, 37), np.uint8), metadata=None, software=False, **options)
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        described = tiff.pages[0].dataoffsets[0]
    outcomes = set()
    for place in range(described):
        for value in (0, 1, 255):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            image = TiffImage.open(path)
            try:
                pixels = read_image(path).bgr if image is None else image[:, :][:8]
                outcomes.add(pixels.ndim)
            except ImageReadError as error:
                outcomes.add(str(error).partition(':')[0])
            finally:
                if image is not None:
                    image.close()
    assert outcomes == {3, str(path)}


def test_a_folder_in_place_of_the_file(tmp_path):
    (tmp_path / 'a.tif').mkdir()
    with pytest.raises(OutputError, match='a.tif: '):
        with TiffOutput(tmp_path / 'a.tif', (2, 3), np.uint8) as output:
            output[0:2, 0:3] = np.zeros((2, 3), np.uint8)
    assert os.listdir(tmp_path) == ['a.tif'] and os.listdir(tmp_path / 'a.tif') == []


def test_failure_leaves_the_older_file(tmp_path):
    path = tmp_path / 'a.tif'
    path.write_bytes(b'older')
    with pytest.raises(RuntimeError), TiffOutput(path, (4, 4), np.uint8) as output:
        output[0:2, 0:4] = np.zeros((2, 4), np.uint8)
        raise RuntimeError
    assert os.listdir(tmp_path) == ['a.tif'] and path.read_bytes() == b'older'


def test_no_room_is_found_at_the_start(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'posix_fallocate', full)
    with pytest.raises(OutputError, match=r'a.tif: cannot be written \(No space left on device\)'):
        TiffOutput(tmp_path / 'a.tif', (4, 4), np.uint8).__enter__()
    assert os.listdir(tmp_path) == []


def test_file_in_place_of_the_folder(tmp_path):
    (tmp_path / 'out').write_bytes(b'')
    with pytest.raises(OutputError, match='out/a.tif: cannot be written'):
        TiffOutput(tmp_path / 'out' / 'a.tif', (4, 4), np.uint8).__enter__()
