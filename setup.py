# Copyright (c) mmdefusion authors. All rights reserved.
"""Packaging of mmdefusion: a pure Python package that carries its configs and tools in ``mmdefusion/.mim``."""

import os
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_FILES = ('configs', 'tools', 'model-index.yml', 'dataset-index.yml')


def read_version() -> str:
    """Read the version without importing the package, whose dependencies may not be installed yet."""
    scope: dict = {}
    exec((ROOT / 'mmdefusion' / 'version.py').read_text(encoding='utf-8'), scope)
    return scope['__version__']


def add_mim_extension(package_dir: Path, symlink: bool) -> None:
    """Put what MIM and the ``mmdefusion::`` prefix of configs look for into ``.mim`` of the package.

    Args:
        package_dir: Folder of the package in the source tree or in the build tree.
        symlink: Link to the originals, so that edits of an editable install take effect, instead of copying them.
    """
    mim_dir = package_dir / '.mim'
    shutil.rmtree(mim_dir, ignore_errors=True)
    mim_dir.mkdir(parents=True)
    for source in (ROOT / name for name in MIM_FILES):
        target = mim_dir / source.name
        if not source.exists():
            continue
        if symlink:
            try:
                target.symlink_to(os.path.relpath(source, mim_dir), target_is_directory=source.is_dir())
                continue
            except OSError:
                # Windows allows links to administrators only: an editable install gets copies there.
                pass
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
        else:
            shutil.copy2(source, target)


class BuildWithMim(build_py):
    """``build_py`` that adds ``.mim``.

    Every way to install runs this command, and it knows by ``editable_mode`` which one it is. The arguments of
    setup.py, which OpenMMLab packages look at, do not tell an editable install from the others any more.
    """

    def run(self) -> None:
        """Build the package, then add ``.mim`` to the build tree, or to the source tree of an editable install."""
        super().run()
        parent = ROOT if self.editable_mode else Path(self.build_lib)
        add_mim_extension(parent / 'mmdefusion', symlink=self.editable_mode)


if __name__ == '__main__':
    setup(
        name='mmdefusion',
        version=read_version(),
        description='Image fusion by feature decomposition (DeFusion++) for the OpenMMLab libraries',
        long_description=(ROOT / 'README.md').read_text(encoding='utf-8') if (ROOT / 'README.md').exists() else '',
        long_description_content_type='text/markdown',
        author='mmdefusion authors',
        keywords='computer vision, image fusion, infrared, multi-focus, multi-exposure, self-supervised learning',
        packages=find_packages(include=('mmdefusion', 'mmdefusion.*')),
        package_data={'mmdefusion.weights': ['*.pth']},
        cmdclass={'build_py': BuildWithMim},
        entry_points={'console_scripts': ['mmdefusion = mmdefusion.cli:main']},
        python_requires='>=3.10',
        # Neither torch nor MMEngine and MMCV: whichever is installed, official or OneDL, stays (see requirements/).
        install_requires=[
            'numpy',
            'opencv-python',
            'packaging',
            'pillow',
            'scikit-image',
            'scipy',
            'tensorboard',
            'tifffile',
        ],
        classifiers=[
            'Intended Audience :: Science/Research',
            'Operating System :: OS Independent',
            'Programming Language :: Python :: 3',
            'Topic :: Scientific/Engineering :: Image Processing',
        ],
        zip_safe=False,
    )
