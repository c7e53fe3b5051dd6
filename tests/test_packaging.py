# Copyright (c) mmdefusion authors. All rights reserved.
import email
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROBE = 'configs/_base_/probe.py'
IGNORED = shutil.ignore_patterns('__pycache__', '*.pyc', '.mim')

# An isolated interpreter does not look into the folders that already hold an installed mmdefusion, except for the
# last one, which gives the dependencies: site.addsitedir runs the .pth files of the new installation only.
READ_CONFIG = """
import site, sys
target, config, *packages = sys.argv[1:]
sys.path.insert(0, target)
site.addsitedir(target)
sys.path.extend(packages)
import mmdefusion
from mmengine.config import Config
from mmengine.hub import get_config
print(mmdefusion.__file__)
print(Config.fromfile(config).probe, get_config('mmdefusion::_base_/probe.py').probe)
"""


def _run(*command, cwd) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _pip(*arguments, cwd) -> None:
    # Without isolation and index, nothing is downloaded.
    _run(sys.executable, '-m', 'pip', *arguments, '--no-deps', '--no-build-isolation', '--no-index', '-q', cwd=cwd)


def _read_config(target: Path, folder: Path) -> list[str]:
    config = folder / 'derived.py'
    config.write_text("_base_ = ['mmdefusion::_base_/probe.py']\n")
    packages = [path for path in sys.path if path.endswith('site-packages')]
    return _run(sys.executable, '-I', '-S', '-c', READ_CONFIG, target, config, *packages, cwd=folder).split()


@pytest.fixture(scope='module')
def source(tmp_path_factory) -> Path:
    """Copy the sources, because a build leaves files in them, and add a config whose value can be changed."""
    copy = tmp_path_factory.mktemp('source') / 'mmdefusion'
    copy.mkdir()
    for name in ('mmdefusion', 'configs', 'tools', 'requirements'):
        shutil.copytree(ROOT / name, copy / name, ignore=IGNORED)
    for name in ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'requirements.txt', 'model-index.yml', 'README.md'):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy / name)
    (copy / PROBE).write_text('probe = 1\n')
    return copy


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('wheel')
    _pip('wheel', source, '-w', folder, cwd=folder)
    (path,) = folder.glob('*.whl')
    return path


def _expected_mim_files(source: Path) -> set[str]:
    files = {source / 'model-index.yml'}
    for folder in ('configs', 'tools'):
        files.update(path for path in (source / folder).rglob('*') if path.is_file() and path.suffix != '.pyc')
    return {f'mmdefusion/.mim/{path.relative_to(source).as_posix()}' for path in files}


def _names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_carries_the_package_and_its_mim_files(wheel, source):
    names = _names(wheel)
    assert {name for name in names if '/.mim/' in name} == _expected_mim_files(source)
    modules = {path.relative_to(source).as_posix() for path in (source / 'mmdefusion').rglob('*.py')}
    assert {name for name in names if name.endswith('.py') and '/.mim/' not in name} == modules
    assert {name.split('/')[0] for name in names} == {'mmdefusion', wheel.name.rsplit('-', 3)[0] + '.dist-info'}


def test_building_a_wheel_leaves_no_copies_in_the_sources(wheel, source):
    assert not (source / 'mmdefusion' / '.mim').exists()


def test_wheel_metadata_leaves_torch_and_both_families_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        info = next(name.split('/')[0] for name in archive.namelist() if '.dist-info/' in name)
        metadata = email.message_from_bytes(archive.read(f'{info}/METADATA'))
        entry_points = archive.read(f'{info}/entry_points.txt').decode()
    needed = {re.match(r'[\w.-]+', line).group() for line in metadata.get_all('Requires-Dist')}
    assert needed == {
        'numpy',
        'opencv-python',
        'packaging',
        'pillow',
        'scikit-image',
        'scipy',
        'tensorboard',
        'tifffile',
    }
    assert metadata['Name'] == 'mmdefusion'
    assert 'mmdefusion = mmdefusion.cli:main' in entry_points


def test_sdist_builds_the_same_wheel(wheel, source, tmp_path):
    script = 'import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])'
    _run(sys.executable, '-c', script, tmp_path, cwd=source)
    (sdist,) = tmp_path.glob('*.tar.gz')
    _pip('wheel', sdist, '-w', tmp_path, cwd=tmp_path)
    (rebuilt,) = tmp_path.glob('*.whl')
    assert _names(rebuilt) == _names(wheel)


def test_config_prefix_resolves_in_a_regular_install(wheel, tmp_path):
    target = tmp_path / 'target'
    _pip('install', wheel, '--target', target, cwd=tmp_path)
    assert _read_config(target, tmp_path) == [str(target / 'mmdefusion' / '__init__.py'), '1', '1']


@pytest.mark.smoke
def test_config_prefix_resolves_in_an_editable_install_and_follows_edits(source, tmp_path):
    editable, target = tmp_path / 'editable', tmp_path / 'target'
    copy = tmp_path / 'sources'
    shutil.copytree(source, copy, ignore=IGNORED)
    editable.mkdir()
    script = 'import sys; from setuptools import build_meta; build_meta.build_editable(sys.argv[1])'
    _run(sys.executable, '-c', script, editable, cwd=copy)
    (wheel,) = editable.glob('*.whl')
    _pip('install', wheel, '--target', target, cwd=tmp_path)
    # As on a machine where the repository is not the current folder: its metadata lies in site-packages only.
    shutil.rmtree(copy / 'mmdefusion.egg-info', ignore_errors=True)

    assert os.path.islink(copy / 'mmdefusion' / '.mim' / 'configs')
    assert _read_config(target, tmp_path) == [str(copy / 'mmdefusion' / '__init__.py'), '1', '1']
    (copy / PROBE).write_text('probe = 2\n')
    assert _read_config(target, tmp_path)[1:] == ['2', '2']


def test_model_index_lists_every_metafile_and_these_name_existing_configs():
    listed = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    assert sorted(listed) == sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob('configs/**/metafile.yml'))
    for metafile in listed:
        for model in yaml.safe_load((ROOT / metafile).read_text())['Models']:
            assert (ROOT / model['Config']).is_file(), f'{metafile} names {model["Config"]}'


def _requirements(name: str) -> dict[str, str]:
    """Read a requirements file with those that it includes: name to version, empty where there is no pin."""
    found: dict[str, str] = {}
    path = ROOT / name
    for line in path.read_text().splitlines():
        line = line.partition('#')[0].strip()
        if line.startswith('-r '):
            found.update(_requirements(path.parent.relative_to(ROOT) / line[3:]))
        elif line:
            package, _, version = line.partition('==')
            found[package] = version
    return found


def test_requirements_pin_each_family_and_never_touch_torch():
    core, full, onedl = (_requirements(f'requirements/{name}.txt') for name in ('core', 'full', 'onedl'))
    assert _requirements('requirements.txt') == core
    for packages in (core, full, onedl):
        assert not {'torch', 'torchvision', 'timm', 'kornia'} & packages.keys()
    assert (core['mmengine'], core['mmcv-lite']) == (full['mmengine'], full['mmcv']) == ('0.10.7', '2.1.0')
    assert (full['mmdet'], full['mmsegmentation']) == ('3.3.0', '1.2.2')
    assert 'mmcv-lite' not in full
    assert all(package.startswith('onedl-') for package in onedl if package.partition('mm')[1])
    # What both families share is the same in both environments.
    assert {name: version for name, version in full.items() if name in onedl}.items() <= onedl.items()
