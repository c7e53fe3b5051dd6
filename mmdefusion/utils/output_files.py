# Copyright (c) mmdefusion authors. All rights reserved.
"""Writing of files so that nothing is lost: whole or not at all, and checked before long work begins."""

from __future__ import annotations

import argparse
import os
import uuid
from pathlib import Path


class OutputError(OSError):
    """A file that cannot be written: the message names it and the reason. Files written before stay as they are."""

    @classmethod
    def of(cls, path: str | os.PathLike, error: OSError) -> OutputError:
        """The error of a file, for example because the disk is full or the folder read-only."""
        return cls(f'{os.fspath(path)}: cannot be written ({error.strerror or error})')


def temporary_beside(path: Path) -> Path:
    """A hidden name in the same folder, however long the file's own is, with its suffix, which may choose a format."""
    return path.with_name(f'.{uuid.uuid4().hex}{path.suffix}')


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write a file under a temporary name beside its place, then move it there in one step.

    Raises:
        OutputError: If it cannot be written; an older file of the name is left as it was.
    """
    path = Path(path)
    temporary = temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError.of(path, error) from error


def check_writable(folder: str | os.PathLike) -> None:
    """Raise an OutputError if a folder, or the first existing one above it, is none or cannot be written to."""
    existing = Path(folder).absolute()
    try:
        while not existing.exists():
            existing = existing.parent
    except OSError as error:
        raise OutputError.of(folder, error) from error
    if not existing.is_dir():
        raise OutputError(f'{existing}: a file; expected a folder for the results')
    if not os.access(existing, os.W_OK):
        raise OutputError(f'{existing}: the folder is read-only; expected one to write the results to')


def output_file(text: str) -> str:
    """Type of a command line's argument: a file that long work will end with, in a folder that can be written to."""
    try:
        check_writable(Path(text).parent)
    except OutputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if os.path.isdir(text):
        raise argparse.ArgumentTypeError(f'{text}: a folder; expected the name of a file')
    return text
