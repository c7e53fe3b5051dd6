# Copyright (c) mmdefusion authors. All rights reserved.
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / 'tools' / 'misc' / 'build_mmcv_wheel.sh'
NAME = 'onedl_mmcv-9.9-cp311-cp311-linux_x86_64.whl'


@pytest.fixture
def build(tmp_path):
    """Give a function that runs the script with an interpreter whose ``pip wheel`` copies ``product`` instead."""
    python = tmp_path / 'python'
    python.write_text(
        '#!/usr/bin/env bash\n'
        '[ "$1" = -m ] || exec "$REAL_PYTHON" "$@"\n'
        'echo "$MMCV_WITH_OPS $*" >> "$CALLS"\n'
        'while [ "$1" != --wheel-dir ]; do shift; done\n'
        f'cp "$PRODUCT" "$2/{NAME}"\n'
    )
    python.chmod(0o755)
    calls = tmp_path / 'calls'

    def run(product):
        environment = dict(
            os.environ,
            REAL_PYTHON=sys.executable,
            XDG_CACHE_HOME=str(tmp_path / 'cache'),
            CALLS=str(calls),
            PRODUCT=str(product),
            OMP_NUM_THREADS='1',
        )
        calls.write_text('')
        done = subprocess.run(
            [str(SCRIPT), str(python), 'onedl-mmcv==9.9'], env=environment, capture_output=True, text=True
        )
        return done, calls.read_text().splitlines()

    return run


def _wheel(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, 'w') as archive:
        for name in names:
            archive.writestr(name, name * 100)
    return path


def test_wheel_is_built_once_and_then_taken_from_the_cache(build, tmp_path):
    product = _wheel(tmp_path / 'good', 'mmcv/__init__.py', 'mmcv/_ext.cpython-311.so')
    first, calls = build(product)
    assert first.returncode == 0, first.stderr
    wheel = Path(first.stdout.strip())
    assert wheel.name == NAME
    assert wheel.read_bytes() == product.read_bytes()
    assert f'cpython-3{sys.version_info.minor}-torch' in wheel.parent.name
    (call,) = calls
    assert call.startswith('1 -m pip wheel --no-deps --no-build-isolation') and call.endswith('onedl-mmcv==9.9')
    assert [path.name for path in wheel.parent.iterdir()] == [NAME]

    second, calls = build(product)
    assert second.stdout == first.stdout
    assert calls == []


def test_a_broken_wheel_in_the_cache_is_built_again(build, tmp_path):
    product = _wheel(tmp_path / 'good', 'mmcv/__init__.py', 'mmcv/_ext.cpython-311.so')
    wheel = Path(build(product)[0].stdout.strip())
    wheel.write_bytes(wheel.read_bytes()[:100])
    done, calls = build(product)
    assert done.returncode == 0 and len(calls) == 1
    assert wheel.read_bytes() == product.read_bytes()


def test_a_build_without_operators_or_cut_short_never_enters_the_cache(build, tmp_path):
    lite = _wheel(tmp_path / 'lite', 'mmcv/__init__.py')
    cut = tmp_path / 'cut'
    cut.write_bytes(_wheel(tmp_path / 'good', 'mmcv/_ext.so').read_bytes()[:-30])
    for product in (lite, cut, tmp_path / 'absent'):
        done, calls = build(product)
        assert done.returncode != 0 and len(calls) == 1
        assert done.stdout == ''
        assert not [path for path in (tmp_path / 'cache').rglob('*') if not path.is_dir()]
