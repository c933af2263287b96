# SPDX-License-Identifier: Apache-2.0
"""Write a file so that a reader, or a crash at any time, sees the old one or the new one whole."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress

from pyhash.errors import WriteError


def write_file(location: str | os.PathLike[str], data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file: temporary file beside it, fsync, rename, fsync of the directory.

    Args:
        location: What to write; a link is replaced, not followed.
        data: The whole content.
        mode: Permissions of the new file.

    Raises:
        WriteError: The system refused; what was there before still is.
    """
    text = os.fspath(location)
    directory = os.path.dirname(os.path.abspath(text))
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".pyhash-", dir=directory)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(descriptor, mode)
                os.fsync(descriptor)
            os.rename(temporary, text)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        sync_directory(directory)
    except OSError as error:
        message = f"{text}: cannot be written: {error.strerror}"
        raise WriteError(message, text, error.errno) from error


def sync_directory(directory: str) -> None:
    """Make the names in a directory durable. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
