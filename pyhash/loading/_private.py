# SPDX-License-Identifier: Apache-2.0
"""Verified bytes as files, for libraries that take nothing but a directory.

The directory is this user's alone, in memory where the system has a file system for that, and gone
afterwards. Whoever can write there, being this user or root, can write to this process as well.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyhash.errors import WriteError

MEMORY_DIRECTORY = "/dev/shm"  # noqa: S108 - a directory of our own is made in it
FILE_MODE = 0o400


@contextmanager
def private_copy(contents: Mapping[str, memoryview]) -> Iterator[str]:
    """Write files into a new directory that only this user can enter; remove it at the end.

    Args:
        contents: Path inside the checkpoint, already checked to stay there -> content.

    Yields:
        The directory.

    Raises:
        WriteError: There is no room, or no place.
    """
    in_memory = os.access(MEMORY_DIRECTORY, os.W_OK | os.X_OK)
    place = MEMORY_DIRECTORY if in_memory else None
    try:
        # Made with mode 0700.
        directory = tempfile.TemporaryDirectory(prefix="pyhash-", dir=place)
    except OSError as error:
        raise WriteError(f"no private directory: {error}", place, error.errno) from error
    with directory as name:
        try:
            for path, data in contents.items():
                _write(os.path.join(name, path), data)
        except OSError as error:
            raise WriteError(f"{name}: {error.strerror or error}", name, error.errno) from error
        yield name


def _write(path: str, data: memoryview) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with open(descriptor, "wb") as file:
        file.write(data)
