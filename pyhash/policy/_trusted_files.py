# SPDX-License-Identifier: Apache-2.0
"""Files that decide whom to trust: nobody but root and the user who runs this may change them.

Whoever could write to a policy, or to a key that it names, would decide what starts here.
"""

from __future__ import annotations

import os
import stat

from pyhash.errors import PolicyFileError

WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def read_trusted(location: str, max_bytes: int) -> bytes:
    """Read a small regular file that only root and this user can change.

    Args:
        location: The file; links are followed, and what they lead to is looked at.
        max_bytes: More than that is refused.

    Raises:
        PolicyFileError: It cannot be read, is something else than a file, is too large, or others
            could change it.
    """
    try:
        # O_NONBLOCK: a pipe must end in an error, not hang.
        descriptor = os.open(location, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _check(location, os.fstat(descriptor))
            data = b""
            while len(data) <= max_bytes:
                block = os.read(descriptor, max_bytes + 1 - len(data))
                if not block:
                    return data
                data += block
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(location, error) from error
    raise PolicyFileError(f"{location}: larger than {max_bytes} bytes", location)


def check_trusted(location: str) -> None:
    """Refuse a file that others than root and this user could change.

    Raises:
        PolicyFileError: So it is, or it is no regular file, or cannot be looked at.
    """
    try:
        _check(location, os.stat(location))
    except OSError as error:
        raise _unreadable(location, error) from error


def check_trusted_directory(location: str) -> None:
    """Refuse a directory in which others could put, or take away, files of ours, or which they
    could move away: one that they made would hold nothing.

    Raises:
        PolicyFileError: So it is, or it is no directory, or cannot be looked at.
    """
    try:
        status = os.stat(location)
        if not stat.S_ISDIR(status.st_mode):
            raise PolicyFileError(f"{location}: not a directory", location)
        _check_owner(location, status)
        _check_mode(location, status)
        _check_around(os.path.abspath(location))
        _check_around(os.path.realpath(location))
    except OSError as error:
        raise _unreadable(location, error) from error


def _check(location: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PolicyFileError(f"{location}: not a regular file", location)
    _check_owner(location, status)
    _check_mode(location, status)
    _check_around(os.path.realpath(location))


def _check_around(location: str) -> None:
    """Who can rename in its directory can put something else in its place."""
    directory = os.path.dirname(location)
    around = os.stat(directory)
    _check_owner(directory, around)
    if not around.st_mode & stat.S_ISVTX:
        _check_mode(directory, around)


def _check_owner(location: str, status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise PolicyFileError(
            f"{location}: belongs to user {status.st_uid}, who could change whom this trusts; it"
            " must belong to root or to the user who verifies",
            location,
        )


def _check_mode(location: str, status: os.stat_result) -> None:
    if status.st_mode & WRITABLE_BY_OTHERS:
        raise PolicyFileError(
            f"{location}: mode {stat.S_IMODE(status.st_mode):04o} lets others write, and so decide"
            " whom this trusts; run chmod go-w on it",
            location,
        )


def _unreadable(location: str, error: OSError) -> PolicyFileError:
    return PolicyFileError(f"{location}: cannot be read: {error.strerror}", location)
