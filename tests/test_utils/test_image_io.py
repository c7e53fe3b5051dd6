# Copyright (c) mmdefusion authors. All rights reserved.
import io
import os
import stat

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from mmdefusion.utils.image_io import (
    ImageReadError,
    ImageSide,
    list_images,
    match_folders,
    match_images,
    quantize,
    read_image,
    to_source_image,
    write_image,
)
from mmdefusion.utils.output_files import write_bytes


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (12, 17, 3), dtype=np.uint8)


def save(path, image, **options):
    image.save(path, **options)
    return path


def encode(path, array):
    # OpenCV 4 would compress float TIFF files with loss.
    options = [cv2.IMWRITE_TIFF_COMPRESSION, 1] if path.suffix.startswith('.tif') else []
    ok, content = cv2.imencode(path.suffix, array, options)
    assert ok
    path.write_bytes(content.tobytes())
    return path


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.tif', '.ppm'])
def test_colour_is_read_as_bgr(tmp_path, rgb, suffix):
    image = read_image(save(tmp_path / f'a{suffix}', Image.fromarray(rgb)))
    np.testing.assert_array_equal(image.bgr, rgb[..., ::-1])
    assert image.depth == 8 and image.bgr.dtype == np.uint8


def test_jpeg_is_read_as_the_stock_loader_reads_it(tmp_path, rgb):
    path = save(tmp_path / 'a.jpg', Image.fromarray(rgb))
    np.testing.assert_array_equal(read_image(path).bgr, mmcv.imread(str(path)))


def test_gray_becomes_three_equal_channels(tmp_path, rgb):
    image = read_image(save(tmp_path / 'a.png', Image.fromarray(rgb[..., 0])))
    np.testing.assert_array_equal(image.bgr, np.repeat(rgb[..., :1], 3, axis=2))


def test_one_bit_becomes_0_and_255(tmp_path):
    bits = np.array([[0, 1, 1], [1, 0, 0]], bool)
    image = read_image(save(tmp_path / 'a.png', Image.fromarray(bits)))
    np.testing.assert_array_equal(image.bgr[..., 0], bits * 255)


def test_alpha_is_dropped(tmp_path, rgb):
    alpha = np.arange(12 * 17, dtype=np.uint8).reshape(12, 17)
    rgba = np.dstack([rgb, alpha])
    np.testing.assert_array_equal(read_image(save(tmp_path / 'a.png', Image.fromarray(rgba))).bgr, rgb[..., ::-1])
    gray_alpha = Image.merge('LA', [Image.fromarray(rgb[..., 1]), Image.fromarray(alpha)])
    np.testing.assert_array_equal(read_image(save(tmp_path / 'b.png', gray_alpha)).bgr[..., 2], rgb[..., 1])


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.gif', '.tif'])
def test_palette_is_resolved(tmp_path, suffix):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), mode='L')
    image = Image.frombytes('P', (2, 2), image.tobytes())
    image.putpalette([10, 20, 30, 200, 100, 50, 7, 8, 9] + [0] * 759)
    bgr = read_image(save(tmp_path / f'a{suffix}', image)).bgr
    np.testing.assert_array_equal(bgr, [[[30, 20, 10], [50, 100, 200]], [[9, 8, 7], [50, 100, 200]]])


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('channels', [1, 3])
def test_16_bits_keep_every_value(tmp_path, suffix, channels):
    values = np.random.default_rng(1).integers(0, 65536, (9, 7, channels), dtype=np.uint16)
    values[0, 0], values[0, 1] = 0, 65535
    image = read_image(encode(tmp_path / f'a{suffix}', values))
    assert image.depth == 16 and image.bgr.dtype == np.float32
    assert image.bgr.min() == 0 and image.bgr.max() == 255
    np.testing.assert_array_equal(quantize(image.bgr, 16), np.broadcast_to(values, (9, 7, 3)))


def test_float_tiff_in_unit_range(tmp_path):
    values = np.linspace(0, 1, 30, dtype=np.float32).reshape(5, 6)
    image = read_image(save(tmp_path / 'a.tif', Image.fromarray(values)))
    np.testing.assert_array_equal(image.bgr, np.repeat(values[..., None] * 255, 3, axis=2))
    assert image.depth == 16


def test_float_colour_tiff(tmp_path):
    values = np.random.default_rng(2).random((5, 6, 3), dtype=np.float32)
    np.testing.assert_array_equal(read_image(encode(tmp_path / 'a.tiff', values)).bgr, values * 255)


def test_exif_orientation_is_applied(tmp_path, rgb):
    exif = Image.Exif()
    exif[0x0112] = 6  # Turn by 90 degrees clockwise to view.
    flat = Image.fromarray(np.full((8, 20, 3), 90, np.uint8))
    flat.paste((200, 200, 200), (0, 0, 20, 2))
    path = save(tmp_path / 'a.jpg', flat, exif=exif, quality=100)
    bgr = read_image(path).bgr
    assert bgr.shape == (20, 8, 3)
    assert bgr[:, -2:].mean() > 180 > 110 > bgr[:, :4].mean()
    np.testing.assert_array_equal(bgr, mmcv.imread(str(path)))


def test_path_may_hold_any_letters(tmp_path, rgb):
    np.testing.assert_array_equal(
        read_image(save(tmp_path / 'Straße 街 1.png', Image.fromarray(rgb))).bgr, rgb[..., ::-1]
    )


def nan_tiff(path):
    values = np.full((4, 5), 0.5, np.float32)
    values[1, 2] = np.nan
    save(path, Image.fromarray(values))


def kelvin_tiff(path):
    save(path, Image.fromarray(np.full((4, 5), 293.0, np.float32)))


def nan_colour_tiff(path):
    values = np.full((4, 5, 3), 0.5, np.float32)
    values[1, 2, 0] = np.inf
    encode(path, values)


def truncated(suffix, part):
    def write(path):
        noise = np.random.default_rng(3).integers(0, 256, (200, 300, 3), dtype=np.uint8)
        content = io.BytesIO()
        Image.fromarray(noise).save(content, {'.jpg': 'JPEG', '.png': 'PNG', '.tif': 'TIFF', '.bmp': 'BMP'}[suffix])
        path.write_bytes(content.getvalue()[: int(part * len(content.getvalue()))])

    return write


RED = Image.new('RGB', (6, 4), (200, 30, 40))
BAD_FILES = {
    'missing.png': (lambda path: None, 'cannot be opened'),
    'folder.png': (lambda path: path.mkdir(), 'cannot be opened'),
    'empty.png': (lambda path: path.write_bytes(b''), 'empty'),
    'text.png': (lambda path: path.write_text('no image'), 'not an image'),
    'header.png': (lambda path: path.write_bytes(b'\x89PNG\r\n\x1a\n'), 'truncated'),
    'half.png': (truncated('.png', 0.5), 'truncated'),
    'half.jpg': (truncated('.jpg', 0.5), 'truncated'),
    'most.jpg': (truncated('.jpg', 0.97), 'truncated'),
    'half.tif': (truncated('.tif', 0.5), 'truncated'),
    'half.bmp': (truncated('.bmp', 0.5), 'truncated'),
    'cmyk.jpg': (lambda path: RED.convert('CMYK').save(path), 'CMYK image'),
    'cmyk.tif': (lambda path: RED.convert('CMYK').save(path), 'CMYK image'),
    'lab.tif': (lambda path: RED.convert('LAB').save(path), 'LAB image'),
    'pages.tif': (lambda path: RED.save(path, save_all=True, append_images=[RED, RED]), '3 pages'),
    'int32.tif': (lambda path: Image.new('I', (6, 4), 70000).save(path), 'expected a gray or RGB'),
    'nan.tif': (nan_tiff, '1 pixels are NaN'),
    'inf.tiff': (nan_colour_tiff, '1 pixels are NaN or infinite'),
    'kelvin.tif': (kelvin_tiff, r'values in \[293, 293\]; expected values in \[0, 1\]'),
    'zero.ppm': (lambda path: path.write_bytes(b'P6\n0 0\n255\n'), 'expected'),
}


@pytest.mark.parametrize('name', BAD_FILES)
def test_bad_file_is_named_with_what_was_found(tmp_path, name):
    write, found = BAD_FILES[name]
    write(tmp_path / name)
    with pytest.raises(ImageReadError, match=found) as caught:
        read_image(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert 'expected' in str(caught.value)


@pytest.mark.parametrize(
    'array, found',
    [
        (np.zeros((0, 4, 3), np.uint8), 'no pixels'),
        (np.zeros((4, 4, 2), np.uint8), r'shape \(4, 4, 2\)'),
        (np.zeros((4,), np.uint8), r'shape \(4,\)'),
        (np.zeros((4, 4), np.int32), 'int32'),
        (np.zeros((4, 4), bool), 'bool'),
        (np.full((4, 4), np.nan), '16 pixels are NaN'),
        (np.full((4, 4), -0.5), r'values in \[-0.5, -0.5\]'),
    ],
)
def test_bad_array_is_named(array, found):
    with pytest.raises(ImageReadError, match=f'pair 3.*{found}'):
        to_source_image(array, 'pair 3')


def test_arrays_of_all_good_kinds():
    gray16 = np.array([[0, 257, 65535]], np.uint16)
    image = to_source_image(gray16[..., None], 'a')
    np.testing.assert_array_equal(image.bgr[..., 1], [[0, 1, 255]])
    assert image.depth == 16
    bgra = np.arange(8, dtype=np.uint8).reshape(1, 2, 4)
    np.testing.assert_array_equal(to_source_image(bgra, 'a').bgr, bgra[..., :3])
    np.testing.assert_array_equal(to_source_image(np.array([[0.5, 1.0]]), 'a').bgr[0, :, 0], [127.5, 255])


def test_quantize_rounds_and_clips():
    values = np.array([-3.0, 0.49, 0.51, 127.5, 254.6, 300.0])
    np.testing.assert_array_equal(quantize(values, 8), [0, 0, 1, 128, 255, 255])
    np.testing.assert_array_equal(quantize(values, 16), [0, 126, 131, 32768, 65432, 65535])
    assert quantize(values, 8).dtype == np.uint8 and quantize(values, 16).dtype == np.uint16


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.bmp'])
@pytest.mark.parametrize('shape', [(5, 6), (5, 6, 3)])
def test_written_image_reads_back(tmp_path, suffix, shape):
    image = np.random.default_rng(4).integers(0, 256, shape, dtype=np.uint8)
    write_image(tmp_path / 'new' / f'a{suffix}', image)
    expected = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_image(tmp_path / 'new' / f'a{suffix}').bgr, expected)
    assert os.listdir(tmp_path / 'new') == [f'a{suffix}']


def test_written_16_bit_image_reads_back(tmp_path):
    image = np.random.default_rng(5).integers(0, 65536, (5, 6, 3), dtype=np.uint16)
    write_image(tmp_path / 'a.png', image)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'a.png'), cv2.IMREAD_UNCHANGED), image)


@pytest.mark.parametrize(
    'name, dtype, found',
    [
        ('a.jpg', np.uint16, "uint16 images as '.jpg'"),
        ('a.xyz', np.uint8, "uint8 images as '.xyz'"),
        ('a.png', np.float32, 'type float32'),
    ],
)
def test_what_cannot_be_written(tmp_path, name, dtype, found):
    with pytest.raises(ValueError, match=found):
        write_image(tmp_path / name, np.zeros((2, 2, 3), dtype))
    assert os.listdir(tmp_path) == []


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'a.txt'
    write_bytes(path, b'old')
    monkeypatch.setattr(os, 'replace', lambda *_: (_ for _ in ()).throw(OSError('disk full')))
    with pytest.raises(OSError, match='disk full'):
        write_bytes(path, b'new')
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['a.txt']


def test_written_file_has_ordinary_permissions(tmp_path):
    (tmp_path / 'plain').write_bytes(b'')
    write_bytes(tmp_path / 'a', b'')
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ('plain', 'a')]
    assert modes[0] == modes[1]


def test_list_images_ignores_what_is_no_image(tmp_path):
    for name in ('b.PNG', 'a.jpg', 'a.tif', '.hidden.png', 'notes.txt'):
        (tmp_path / name).write_bytes(b'')
    (tmp_path / 'sub.png').mkdir()
    assert list_images(tmp_path) == {
        'a': [str(tmp_path / 'a.jpg'), str(tmp_path / 'a.tif')],
        'b': [str(tmp_path / 'b.PNG')],
    }


def test_list_images_of_no_folder(tmp_path):
    with pytest.raises(ImageReadError, match='not a folder'):
        list_images(tmp_path / 'nowhere')


def test_match_folders(tmp_path):
    for name in ('vi/1.jpg', 'vi/2.jpg', 'vi/3.png', 'vi/3.jpg', 'vi/5.v2.png', 'ir/1.png', 'ir/3.png', 'ir/4.png',
                 'ir/5.v2.tif'):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    pairs, problems = match_folders(tmp_path / 'vi', tmp_path / 'ir')
    vi, ir = str(tmp_path / 'vi'), str(tmp_path / 'ir')
    assert pairs == [('1', f'{vi}/1.jpg', f'{ir}/1.png'), ('5.v2', f'{vi}/5.v2.png', f'{ir}/5.v2.tif')]
    assert problems == {
        '2': f'{ir}/2.*: no such image; expected the partner of the same stem',
        '3': f'{vi}/3.*: 2 images (3.jpg, 3.png); expected one',
        '4': f'{vi}/4.*: no such image; expected the partner of the same stem',
    }
    pairs, problems = match_folders(tmp_path / 'vi', tmp_path / 'ir', ['5.v2', '1'])
    assert [pair.stem for pair in pairs] == ['5.v2', '1'] and not problems


def test_list_images_by_pattern(tmp_path):
    for name in ('1/2.png', '1/10.png', '1/.3.png', '2/1.jpg', 'x/1.png', '1/more/4.png', '5.png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    found = list_images(tmp_path, r'(\d+)/[^/]+')
    assert found == {
        '1': [str(tmp_path / '1/2.png'), str(tmp_path / '1/10.png')],
        '2': [str(tmp_path / '2/1.jpg')],
    }
    assert list_images(tmp_path, r'(\d+)/more/.+') == {'1': [str(tmp_path / '1/more/4.png')]}
    assert list_images(tmp_path) == {'5': [str(tmp_path / '5.png')]}


def test_match_images_of_three_sides(tmp_path):
    for name in ('a/1.png', 'a/2.png', 'b/1_b.png', 'b/2_b.png', 'c/1.png', 'c/2.png', 'c/3.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    sides = [ImageSide(tmp_path / 'a'), ImageSide(tmp_path / 'b', '(.+)_b'), ImageSide(tmp_path / 'c')]
    matches, problems = match_images(sides)
    assert [match.name for match in matches] == ['1', '2']
    assert matches[1].paths == tuple(str(tmp_path / name) for name in ('a/2.png', 'b/2_b.png', 'c/2.png'))
    # The last of the missing ones is named.
    assert problems == {'3': f'3: in {tmp_path / "b"} as (.+)_b: no such image; expected the partner of the same name'}
