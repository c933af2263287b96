# SPDX-License-Identifier: Apache-2.0
"""The lock that makes one process at a time the writer of a log, and errors of writing it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from pyhash.errors import WriteError

LOCK = "lock"


def locked(name: str) -> AbstractContextManager[None]:
    """Be the only writer of a log. The system lets go of the lock of a process that dies.

    Raises:
        WriteError: There is no log, or its lock cannot be taken.
    """
    return _held(os.path.join(name, LOCK), os.O_RDWR)


@contextmanager
def writing(path: str) -> Iterator[None]:
    """Turn the system's errors into WriteError.

    Raises:
        WriteError: The block raised OSError.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(
            f"{path}: the log cannot be written: {reason}", path, error.errno
        ) from error


def locked_directory(path: str) -> AbstractContextManager[None]:
    """Be the only process that changes our files in a directory; it gets no file for that.

    Raises:
        WriteError: There is no such directory, or its lock cannot be taken.
    """
    return _held(path, os.O_RDONLY | os.O_DIRECTORY)


@contextmanager
def _held(path: str, flags: int) -> Iterator[None]:
    with writing(path):
        descriptor = os.open(path, flags | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except BaseException:
            os.close(descriptor)
            raise
    try:
        yield
    finally:
        os.close(descriptor)
