# Copyright (c) mmdefusion authors. All rights reserved.
from importlib import metadata

import pytest

from mmdefusion.utils import environment
from mmdefusion.utils.environment import check_environment, installed_versions

CORE = {'torch': '2.13.0+cpu', 'mmengine': '0.10.7', 'mmcv-lite': '2.1.0'}
ONEDL = {'torch': '2.13.0', 'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6'}


@pytest.fixture
def pretend(monkeypatch):
    """Give a function that makes exactly these distributions, and these importable modules, look installed."""

    def install(versions, modules=('torch', 'mmengine', 'mmcv')):
        def version(name):
            if name in versions:
                return versions[name]
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr(environment.metadata, 'version', version)
        monkeypatch.setattr(environment, 'find_spec', lambda name: object() if name in modules else None)

    return install


@pytest.mark.smoke
def test_the_environment_of_this_test_run_is_accepted():
    check_environment()


@pytest.mark.parametrize(
    'versions',
    [
        CORE,
        {**CORE, 'mmdet': '3.3.0', 'mmsegmentation': '1.2.2'},
        {'mmengine': '0.10.0', 'mmcv': '2.2.0'},
        ONEDL,
        {**ONEDL, 'onedl-mmdetection': '3.5.1', 'onedl-mmsegmentation': '1.4.2'},
        # Sources on PYTHONPATH: importable, but no metadata to judge.
        {},
    ],
)
def test_supported_environments_pass(pretend, versions):
    pretend(versions)
    assert check_environment() is None


def test_both_families_name_what_was_found_on_each_side(pretend):
    pretend({**CORE, 'onedl-mmcv': '2.3.6', 'onedl-mmdetection': '3.5.1'})
    with pytest.raises(ImportError) as error:
        check_environment()
    message = str(error.value)
    assert 'official OpenMMLab: mmengine 0.10.7, mmcv-lite 2.1.0;' in message
    assert 'OneDL: onedl-mmcv 2.3.6, onedl-mmdetection 3.5.1)' in message
    assert 'requirements/core.txt' in message and 'requirements/onedl.txt' in message
    assert '\n' not in message


@pytest.mark.parametrize(
    ('versions', 'modules', 'missing', 'advice'),
    [
        ({'mmengine': '0.10.7'}, ('torch', 'mmengine'), 'mmcv', 'requirements/core.txt'),
        ({'onedl-mmengine': '0.10.12'}, ('torch', 'mmengine'), 'mmcv', 'requirements/onedl.txt'),
        ({}, ('torch', 'mmcv'), 'mmengine', 'requirements/core.txt'),
        (CORE, ('mmengine', 'mmcv'), 'torch', 'pytorch.org'),
    ],
)
def test_a_missing_dependency_names_the_command(pretend, versions, modules, missing, advice):
    pretend(versions, modules)
    with pytest.raises(ImportError, match=f'the module {missing} is not installed') as error:
        check_environment()
    assert advice in str(error.value)


@pytest.mark.parametrize(
    ('name', 'version', 'expected'),
    [
        ('mmcv-lite', '1.7.2', 'mmcv-lite >= 2.0.0, < 2.3.0, but 1.7.2'),
        ('mmengine', '1.0.0', 'mmengine >= 0.10.0, < 1.0.0, but 1.0.0'),
        ('mmdet', '2.28.2', 'mmdet >= 3.0.0, < 4.0.0, but 2.28.2'),
        # Compared as versions: as text, 0.9 would be the larger one.
        ('mmengine', '0.9.1', 'mmengine >= 0.10.0, < 1.0.0, but 0.9.1'),
        ('torch', '1.13.1+cu117', 'torch >= 2.0.0, but 1.13.1'),
    ],
)
def test_an_unsupported_version_names_range_and_finding(pretend, name, version, expected):
    pretend({**CORE, name: version})
    with pytest.raises(ImportError) as error:
        check_environment()
    assert expected in str(error.value)


def test_installed_versions_keeps_order_and_leaves_out_the_absent(pretend):
    pretend({'b': '2', 'a': '1'})
    assert list(installed_versions(('a', 'c', 'b')).items()) == [('a', '1'), ('b', '2')]
