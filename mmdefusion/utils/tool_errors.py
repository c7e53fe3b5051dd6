# Copyright (c) mmdefusion authors. All rights reserved.
"""Errors that are the user's to mend, as one sentence instead of a traceback."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .output_files import OutputError

#: What a file system answers that is full, read-only or somebody else's, or where nothing is.
_DISK_ERRORS = {
    getattr(errno, name) for name in ('ENOENT', 'ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EACCES', 'EPERM', 'ENOTDIR')
}


def _handle_log_error(handler: logging.FileHandler, record: logging.LogRecord) -> None:
    """Lets a log file that cannot be written end the run; ``logging`` would print a traceback for each line of it."""
    if isinstance(sys.exc_info()[1], OSError):
        raise
    logging.Handler.handleError(handler, record)


def non_negative_int(text: str) -> int:
    """The ``type`` of a command line argument that counts from 0.

    Raises:
        argparse.ArgumentTypeError: It is no whole number, or less than 0.
    """
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'found {text}; expected 0 or more')
    return int(text)


@contextmanager
def errors_in_one_sentence(work_dir: str | os.PathLike) -> Iterator[None]:
    """Ends the process with one sentence where files are missing or cannot be written; other errors pass.

    Args:
        work_dir: Named where the system does not say which file it is.
    """
    logging.FileHandler.handleError = _handle_log_error
    try:
        yield
    except OSError as error:
        # Those of this package say all themselves.
        if isinstance(error, OutputError) or (isinstance(error, FileNotFoundError) and error.filename is None):
            sys.exit(f'Error: {error}')
        if error.errno not in _DISK_ERRORS:
            raise
        sys.exit(f'Error: {error.filename or work_dir}: {error.strerror}')
    finally:
        del logging.FileHandler.handleError
