# Copyright (c) mmdefusion authors. All rights reserved.
"""Check of the installed dependencies, before any of them is imported.

mmdefusion runs on two families of packages that install the same modules: the official OpenMMLab releases and their
community continuation OneDL. Everything here reads package metadata only, which takes milliseconds.
"""

from importlib import metadata
from importlib.util import find_spec
from typing import NamedTuple

from packaging.version import Version


class Family(NamedTuple):
    """One family of packages, with the versions that mmdefusion supports.

    Attributes:
        title: Name of the family as people call it.
        requirements: File that installs it.
        versions: For each distribution the supported half-open range ``(minimum, below)``.
    """

    title: str
    requirements: str
    versions: dict[str, tuple[str, str]]


_MMENGINE = ('0.10.0', '1.0.0')
_MMCV = ('2.0.0', '2.3.0')

OFFICIAL = Family(
    'official OpenMMLab',
    'requirements/core.txt',
    {
        'mmengine': _MMENGINE,
        'mmengine-lite': _MMENGINE,
        'mmcv': _MMCV,
        'mmcv-lite': _MMCV,
        'mmdet': ('3.0.0', '4.0.0'),
        'mmsegmentation': ('1.0.0', '2.0.0'),
    },
)
ONEDL = Family(
    'OneDL',
    'requirements/onedl.txt',
    {
        'onedl-mmengine': ('0.10.8', '1.0.0'),
        'onedl-mmcv': ('2.3.0', '3.0.0'),
        'onedl-mmdetection': ('3.4.0', '4.0.0'),
        'onedl-mmsegmentation': ('1.3.0', '2.0.0'),
    },
)
TORCH_MINIMUM = '2.0.0'
_FAMILIES = (OFFICIAL, ONEDL)


def installed_versions(names: tuple[str, ...] | dict) -> dict[str, str]:
    """Look up which distributions are installed.

    Args:
        names: Names of distributions.

    Returns:
        dict[str, str]: The version of each name that is installed, in the order of ``names``.
    """
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def check_environment() -> None:
    """Raise if the installed dependencies cannot work together.

    Raises:
        ImportError: With one sentence saying what was found and what to install, if packages of both families share
            the environment, if torch, MMEngine or MMCV is missing, or if a version is outside the supported range.
    """
    found = [installed_versions(family.versions) for family in _FAMILIES]
    if all(found):
        raise ImportError(
            f'mmdefusion found packages of two families that overwrite each other in one environment '
            f'({OFFICIAL.title}: {_listed(found[0])}; {ONEDL.title}: {_listed(found[1])}): make a fresh environment '
            f'and install either {OFFICIAL.requirements} or {ONEDL.requirements} into it.'
        )
    for module in ('torch', 'mmengine', 'mmcv'):
        if find_spec(module) is None:
            raise ImportError(_missing(module, ONEDL if found[1] else OFFICIAL))
    for family, versions in zip(_FAMILIES, found, strict=True):
        for name, version in versions.items():
            minimum, below = family.versions[name]
            if not Version(minimum) <= Version(version) < Version(below):
                raise ImportError(
                    f'mmdefusion needs {name} >= {minimum}, < {below}, but {version} is installed: '
                    f'`pip install -r {family.requirements}` installs a tested version.'
                )
    torch = installed_versions(('torch',)).get('torch')
    if torch is not None and Version(torch) < Version(TORCH_MINIMUM):
        raise ImportError(f'mmdefusion needs torch >= {TORCH_MINIMUM}, but {torch} is installed.')


def _listed(versions: dict[str, str]) -> str:
    return ', '.join(f'{name} {version}' for name, version in versions.items())


def _missing(module: str, family: Family) -> str:
    if module == 'torch':
        return (
            'mmdefusion needs PyTorch, but the module torch is not installed: see https://pytorch.org for the command.'
        )
    return (
        f'mmdefusion needs MMEngine and MMCV, but the module {module} is not installed: '
        f'run `pip install -r {family.requirements}` in the root of the mmdefusion repository.'
    )
