# Copyright (c) mmdefusion authors. All rights reserved.
import math
import os
import resource
import shutil
import stat
import subprocess
import sys
import weakref
from collections import namedtuple

import cv2
import numpy as np
import pytest

from mmdefusion import cli
from mmdefusion.apis import FusionInferencer, fuse_video
from mmdefusion.apis import video as video_module
from mmdefusion.apis.video import VideoWriter
from mmdefusion.utils.image_io import ImageReadError, write_image
from mmdefusion.utils.output_files import OutputError

SIZE = (64, 48)
REAL_FFMPEG = shutil.which('ffmpeg')


@pytest.fixture
def fuse(checkpoint):
    return FusionInferencer(None, checkpoint, device='cpu', precision='float32', show_progress=False)


@pytest.fixture(autouse=True)
def no_ffmpeg(monkeypatch):
    monkeypatch.setattr(video_module.shutil, 'which', lambda name: None)


def write_video(path, levels, fps=12.5, size=SIZE):
    path.parent.mkdir(exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), fps, size)
    for level in levels:
        writer.write(np.full((size[1], size[0], 3), level, np.uint8))
    writer.release()
    return str(path)


def read_levels(path):
    capture = cv2.VideoCapture(str(path))
    levels = []
    while True:
        found, frame = capture.read()
        if not found:
            return levels, capture.get(cv2.CAP_PROP_FPS)
        levels.append(frame.mean())


@pytest.fixture
def videos(tmp_path):
    return write_video(tmp_path / 'vi.avi', range(40, 200, 16)), write_video(tmp_path / 'ir.avi', [120] * 10)


def test_frames_are_fused_in_order_at_the_same_rate(fuse, videos, tmp_path):
    done = fuse_video(fuse, *videos, tmp_path / 'new' / 'out.avi')
    assert (done.frames, done.fps, done.audio) == (10, 12.5, False)
    levels, fps = read_levels(tmp_path / 'new' / 'out.avi')
    assert fps == 12.5
    # The encoder loses a level or two.
    np.testing.assert_allclose(levels, [0.75 * level + 0.25 * 120 for level in range(40, 200, 16)], atol=2.5)
    assert os.listdir(tmp_path / 'new') == ['out.avi']


def test_a_batch_holds_neighbours(fuse, videos, tmp_path):
    fuse_video(fuse, *videos, tmp_path / 'frames', batch_size=4)
    assert [shape[0] for shape in fuse.model.batches] == [4, 4, 2]
    assert sorted(os.listdir(tmp_path / 'frames')) == [f'{index:06d}.png' for index in range(10)]
    assert abs(cv2.imread(str(tmp_path / 'frames' / '000003.png')).mean() - (0.75 * 88 + 30)) < 2


def test_no_more_than_two_batches_are_in_memory(fuse, tmp_path, monkeypatch):
    videos = []
    for name in ('vi', 'ir'):
        write_video(tmp_path / f'{name}.avi', [100] * 40)
        videos.append(str(tmp_path / f'{name}.avi'))
    frames, alive, iterate = [], [], video_module.iterate_pairs

    def watch(stream):
        for pair in iterate(stream):
            frames.append(weakref.ref(pair.source1))
            alive.append(sum(frame() is not None for frame in frames))
            yield pair

    monkeypatch.setattr(video_module, 'iterate_pairs', watch)
    assert fuse_video(fuse, *videos, tmp_path / 'out.avi', batch_size=3).frames == 40
    # The batch before, and the one that is being read.
    assert max(alive[20:]) == max(alive) <= 6


def make_frames(tmp_path, names=('1', '2', '10')):
    for folder, level in (('vi', 80), ('ir', 160)):
        for index, name in enumerate(names):
            write_image(tmp_path / folder / f'{name}.png', np.full((48, 64), level + 4 * index, np.uint8))
    return str(tmp_path / 'vi'), str(tmp_path / 'ir')


def test_folders_in_natural_order(fuse, tmp_path):
    folders = make_frames(tmp_path)
    done = fuse_video(fuse, *folders, tmp_path / 'out.avi', fps=5)
    assert (done.frames, done.fps) == (3, 5)
    np.testing.assert_allclose(read_levels(tmp_path / 'out.avi')[0], [100, 104, 108], atol=1.5)


def test_folders_to_folder(fuse, tmp_path):
    done = fuse_video(fuse, *make_frames(tmp_path), tmp_path / 'out')
    assert done.fps is None and sorted(os.listdir(tmp_path / 'out')) == ['1.png', '10.png', '2.png']
    assert (cv2.imread(str(tmp_path / 'out' / '10.png')) == 108).all()


def test_gray_result(videos, checkpoint, tmp_path):
    fuse = FusionInferencer(None, checkpoint, device='cpu', color='gray', show_progress=False)
    fuse_video(fuse, *videos, tmp_path / 'out.avi')
    assert len(read_levels(tmp_path / 'out.avi')[0]) == 10


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(size=(32, 48)), 'ir.avi: 32 x 48 pixels .* expected 64 x 48 as in'),
        (dict(levels=[0] * 9), 'ir.avi: 9 frames; expected 10 as in'),
        (dict(fps=25), r'ir.avi: 25 frames per second; expected 12.5 as in'),
    ],
)
def test_videos_that_do_not_match(fuse, videos, tmp_path, options, message):
    write_video(tmp_path / 'ir.avi', **{'levels': [0] * 10, **options})
    with pytest.raises(ImageReadError, match=message):
        fuse_video(fuse, *videos, tmp_path / 'out.avi')
    assert not (tmp_path / 'out.avi').exists()


def test_a_video_that_ends_early_keeps_the_frames_before(fuse, videos, tmp_path, monkeypatch):
    write_video(tmp_path / 'ir.avi', [120] * 6)
    monkeypatch.setattr(video_module.mmcv.VideoReader, 'frame_cnt', property(lambda self: 0), raising=True)
    with pytest.raises(ImageReadError, match='ir.avi: ends after 6 frames; .*vi.avi; the 6 frames before are in'):
        fuse_video(fuse, *videos, tmp_path / 'frames')
    assert len(os.listdir(tmp_path / 'frames')) == 6


def test_a_bad_frame_does_not_replace_an_older_video(fuse, tmp_path):
    folders = make_frames(tmp_path)
    (tmp_path / 'out.avi').write_bytes(b'of yesterday')
    with open(f'{folders[1]}/10.png', 'wb'):
        pass  # The last one in natural order.
    with pytest.raises(ImageReadError, match='10.png: the file is empty .*; the first 2 are in .*out.incomplete.avi'):
        fuse_video(fuse, *folders, tmp_path / 'out.avi', fps=5)
    assert (tmp_path / 'out.avi').read_bytes() == b'of yesterday'
    np.testing.assert_allclose(read_levels(tmp_path / 'out.incomplete.avi')[0], [100, 104], atol=1.5)


def test_frames_are_no_links_to_the_results(fuse, tmp_path):
    folders = make_frames(tmp_path)
    (tmp_path / 'links').mkdir()
    for name in os.listdir(folders[0]):
        (tmp_path / 'links' / name).symlink_to(f'{folders[0]}/{name}')
    with pytest.raises(ValueError, match='vi/1.png: would overwrite a source'):
        fuse_video(fuse, tmp_path / 'links', folders[1], folders[0])


def test_wrong_arguments(fuse, videos, tmp_path):
    (tmp_path / 'text.avi').write_bytes(b'no video')
    (tmp_path / 'empty').mkdir()
    folders = make_frames(tmp_path)
    out = tmp_path / 'out.avi'
    for sources, target, message in (
        ((videos[0], str(tmp_path / 'none.avi')), out, 'none.avi: no such file'),
        ((videos[0], str(tmp_path / 'text.avi')), out, 'text.avi: cannot be opened'),
        ((videos[0], folders[1]), out, 'a folder and no folder'),
        ((str(tmp_path / 'empty'),) * 2, out, 'no frames found'),
        (folders, out, 'folders of frames have no frame rate'),
        (videos, tmp_path / 'out.xyz', 'out.xyz: unknown kind of video'),
        (videos, videos[1], 'ir.avi: would overwrite a source'),
    ):
        with pytest.raises(ValueError, match=message):
            fuse_video(fuse, *sources, target)
    for rate in (0, -5.0, math.inf, math.nan):
        with pytest.raises(ValueError, match='fps must be a finite number above 0, found'):
            fuse_video(fuse, *folders, out, fps=rate)
    (tmp_path / 'folder.mp4').mkdir()
    with pytest.raises(ValueError, match='folder.mp4: a folder; expected the name of a video'):
        fuse_video(fuse, *videos, tmp_path / 'folder.mp4')
    os.remove(f'{folders[1]}/2.png')
    with pytest.raises(ImageReadError, match=r'ir/2.\*: no such image'):
        fuse_video(fuse, *folders, out, fps=5)


def test_frames_that_the_encoder_lost_are_noticed(fuse, videos, tmp_path, monkeypatch):
    open_writer, calls = cv2.VideoWriter, []

    class Leaky:
        # Not a subclass: instances of one crash Python's garbage collector.
        def __init__(self, *args):
            self._writer = open_writer(*args)

        def __getattr__(self, name):
            return getattr(self._writer, name)

        def write(self, frame):
            calls.append(frame)
            if len(calls) < 8:
                self._writer.write(frame)

    monkeypatch.setattr(video_module.cv2, 'VideoWriter', Leaky)
    with pytest.raises(OutputError, match='out.avi: 7 of 10 frames .* disk full.; the first 7 are in .*/out.incompl'):
        fuse_video(fuse, *videos, tmp_path / 'out.avi')
    assert sorted(os.listdir(tmp_path)) == ['checkpoints', 'ir.avi', 'out.incomplete.avi', 'vi.avi']
    assert len(read_levels(tmp_path / 'out.incomplete.avi')[0]) == 7


@pytest.mark.parametrize('suffix', ['.avi', '.mp4', '.mkv'])
def test_a_full_disk_keeps_what_was_written(videos, checkpoint, tmp_path, monkeypatch, capsys, suffix):
    (tmp_path / f'out{suffix}').write_bytes(b'of yesterday')
    usage, calls = namedtuple('usage', 'free'), []

    def disk_usage(path):
        calls.append(path)
        return usage(2**30 if len(calls) <= 6 else 2**24)

    monkeypatch.setattr(video_module.shutil, 'disk_usage', disk_usage)
    command = ['video', *videos, '-o', str(tmp_path / f'out{suffix}'), '--weights', checkpoint, '--device', 'cpu']
    assert cli.main(command) == 2
    kept = tmp_path / f'out.incomplete{suffix}'
    assert f'out{suffix}: the disk is full after 6 frames; the first 6 are in {kept}' in capsys.readouterr().err
    expected = [0.75 * level + 0.25 * 120 for level in range(40, 136, 16)]
    np.testing.assert_allclose(read_levels(kept)[0], expected, atol=3.5)
    assert set(os.listdir(tmp_path)) == {'checkpoints', 'ir.avi', kept.name, f'out{suffix}', 'vi.avi'}
    assert (tmp_path / f'out{suffix}').read_bytes() == b'of yesterday'


def test_a_file_that_may_not_grow_keeps_what_was_written(tmp_path):
    """A quota, which no free space tells of: the file's header promises all frames nevertheless."""
    frame = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    try:
        with pytest.raises(OutputError, match=r'out.avi: \d+ of 40 frames could be written; .* are in .*incomplete'):
            with VideoWriter(tmp_path / 'out.avi', 10, (320, 240)) as writer:
                for index in range(40):
                    writer.write(str(index), frame)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == ['out.incomplete.avi']
    levels = read_levels(tmp_path / 'out.incomplete.avi')[0]
    assert 5 <= len(levels) < 40
    np.testing.assert_allclose(levels, frame.mean(), atol=3)


def test_an_interrupted_run_keeps_what_was_written(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with VideoWriter(tmp_path / 'out.avi', 10, SIZE) as writer:
            writer.write('0', np.full((48, 64), 100, np.uint8))
            raise KeyboardInterrupt
    np.testing.assert_allclose(read_levels(tmp_path / 'out.incomplete.avi')[0], [100], atol=1.5)


FFMPEG = """#!{python}
import shutil, sys
arguments = sys.argv[1:]
inputs = [arguments[i + 1] for i, part in enumerate(arguments) if part == '-i']
assert [arguments[arguments.index(part) + 1] for part in ('-c:v', '-c:a')] == ['copy', 'copy']
if 'ir' not in inputs[1]:
    sys.exit('Stream map matches no streams')
shutil.copy(inputs[0], arguments[-1])
"""


def test_sound_of_the_source_that_has_some(fuse, videos, tmp_path, monkeypatch):
    ffmpeg = tmp_path / 'bin' / 'ffmpeg'
    ffmpeg.parent.mkdir()
    ffmpeg.write_text(FFMPEG.format(python=sys.executable))
    ffmpeg.chmod(ffmpeg.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv('PATH', f'{ffmpeg.parent}{os.pathsep}{os.environ["PATH"]}')
    monkeypatch.setattr(video_module.shutil, 'which', lambda name: str(ffmpeg))
    assert fuse_video(fuse, *videos, tmp_path / 'out.avi').audio
    assert len(read_levels(tmp_path / 'out.avi')[0]) == 10
    # Without sound in any source the video stays as it is.
    assert not fuse_video(fuse, videos[0], videos[0], tmp_path / 'silent.avi').audio
    assert len(read_levels(tmp_path / 'silent.avi')[0]) == 10


def run_ffmpeg(program, *arguments):
    command = [str(shutil.which(program)), '-v', 'error', *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=True).stdout


def add_tone(path, target, codec):
    tone = ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=44100:duration=0.8']
    run_ffmpeg('ffmpeg', '-i', path, *tone, '-map', '0:v', '-map', '1:a', '-c:v', 'copy', '-c:a', codec, target)
    return str(target)


def probe(path):
    codec = run_ffmpeg('ffprobe', '-select_streams', 'a', '-show_entries', 'stream=codec_name', '-of', 'csv=p=0', path)
    samples = run_ffmpeg('ffmpeg', '-i', path, '-map', '0:a', '-f', 's16le', '-ac', '1', '-ar', '8000', '-')
    return codec.decode().strip(), len(samples) / 2 / 8000


@pytest.mark.skipif(REAL_FFMPEG is None, reason='there is no ffmpeg')
@pytest.mark.parametrize(
    ('source', 'codec', 'result', 'found'),
    # The last one cannot be copied into an MP4 file.
    [
        ('ir.mp4', 'aac', '.mp4', 'aac'),
        ('ir.avi', 'pcm_s16le', '.avi', 'pcm_s16le'),
        ('ir.mkv', 'pcm_u8', '.mp4', 'aac'),
    ],
)
def test_sound_by_the_real_ffmpeg(fuse, videos, tmp_path, monkeypatch, source, codec, result, found):
    monkeypatch.setattr(video_module.shutil, 'which', lambda name: REAL_FFMPEG.replace('ffmpeg', name))
    (tmp_path / 'tone').mkdir()
    loud = add_tone(videos[1], tmp_path / 'tone' / source, codec)
    # The first source is silent.
    done = fuse_video(fuse, videos[0], loud, tmp_path / f'out{result}')
    assert done.audio and done.frames == 10
    name, duration = probe(tmp_path / f'out{result}')
    assert name == found and abs(duration - 0.8) < 0.1
    if name == codec:
        packets = [
            run_ffmpeg('ffmpeg', '-i', path, '-map', '0:a', '-c', 'copy', '-f', 'md5', '-')
            for path in (loud, tmp_path / f'out{result}')
        ]
        assert packets[0] == packets[1]
    levels, fps = read_levels(tmp_path / f'out{result}')
    assert fps == 12.5 and len(levels) == 10
    assert not fuse_video(fuse, videos[0], videos[0], tmp_path / f'silent{result}').audio


def test_sound_that_cannot_be_kept_is_told(fuse, videos, tmp_path, monkeypatch):
    ffmpeg, told = tmp_path / 'ffmpeg', []
    ffmpeg.write_text(f'#!{sys.executable}\nimport sys\nsys.exit("no such encoder")\n')
    ffmpeg.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}{os.pathsep}{os.environ["PATH"]}')
    monkeypatch.setattr(video_module.shutil, 'which', lambda name: str(ffmpeg))
    monkeypatch.setattr(video_module, 'print_log', lambda message, **_: told.append(message))
    assert not fuse_video(fuse, *videos, tmp_path / 'out.avi').audio
    assert told == [f'{tmp_path}/out.avi: silent, no sound from {source} (no such encoder)' for source in videos]
    assert len(read_levels(tmp_path / 'out.avi')[0]) == 10


def test_command(videos, checkpoint, tmp_path, capsys):
    options = ['--weights', checkpoint, '--device', 'cpu']
    assert cli.main(['video', *videos, '-o', str(tmp_path / 'out.avi'), *options]) == 0
    assert '10 frames fused into' in capsys.readouterr().out
    assert cli.main(['video', videos[0], str(tmp_path / 'none.avi'), '-o', str(tmp_path / 'b.avi'), *options]) == 2
    assert 'mmdefusion video: error:' in capsys.readouterr().err
