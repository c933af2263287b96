# SPDX-License-Identifier: Apache-2.0
"""Write a file so that a reader, or a crash at any time, sees the old one or the new one whole."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from pyhash.errors import WriteError
from pyhash.paths import UNFINISHED_PREFIX

# What the system answers where a file system has no nameless files (open(2), O_TMPFILE).
NO_NAMELESS_FILES = (errno.EISDIR, errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL)


def write_file(location: str | os.PathLike[str], data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file: nameless file in its directory, fsync, name, rename, fsync of the directory.

    The file gets a name only when it is whole, for the instant between two system calls: a process
    that is killed leaves nothing behind in the checkpoint. Where a file system has no nameless
    files, it has a name from the start.

    Args:
        location: What to write; a link is replaced, not followed.
        data: The whole content.
        mode: Permissions of the new file.

    Raises:
        WriteError: The system refused; what was there before still is.
    """
    text = os.fspath(location)
    directory = os.path.dirname(os.path.abspath(text))
    # By chance: in containers the same numbers of process and thread come again, and with them a
    # name that a killed process left behind.
    temporary = os.path.join(directory, UNFINISHED_PREFIX + os.urandom(8).hex())
    try:
        descriptor, is_named = _new_file(directory, temporary)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(data)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
            if not is_named:
                _give_name(descriptor, temporary)
                is_named = True
            os.rename(temporary, text)
        except BaseException:
            if is_named:
                with suppress(OSError):
                    os.unlink(temporary)
            raise
        finally:
            os.close(descriptor)
        sync_directory(directory)
    except OSError as error:
        message = f"{text}: cannot be written: {error.strerror}"
        raise WriteError(message, text, error.errno) from error


def _new_file(directory: str, temporary: str) -> tuple[int, bool]:
    """Return a descriptor open for writing, and whether the file has its temporary name."""
    flags = os.O_WRONLY | os.O_CLOEXEC
    if os.path.exists("/proc/self/fd"):
        try:
            return os.open(directory, flags | os.O_TMPFILE, 0o600), False
        except OSError as error:
            if error.errno not in NO_NAMELESS_FILES:
                raise
    return os.open(temporary, flags | os.O_CREAT | os.O_EXCL, 0o600), True


def _give_name(descriptor: int, name: str) -> None:
    """Link a nameless file. Python follows the link in /proc only when told a directory."""
    directory = os.open(os.path.dirname(name), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        source = f"/proc/self/fd/{descriptor}"
        os.link(source, os.path.basename(name), dst_dir_fd=directory, follow_symlinks=True)
    finally:
        os.close(directory)


def rename_new(source: str, target: str) -> None:
    """Rename a directory to a name that nothing has yet, and make that durable.

    Args:
        source: A directory.
        target: Its new name, on the same file system.

    Raises:
        OSError: There is something at the target, or the system refused.
    """
    # rename(2) replaces an empty directory without a word; nothing in Python says not to. A
    # directory that is not empty, or a file, it refuses. An empty one has nothing to lose.
    os.rename(source, target)
    sync_directory(os.path.dirname(os.path.abspath(target)))


def sync_directory(directory: str) -> None:
    """Make the names in a directory durable.

    Raises:
        OSError: There is no such directory, or the system refused.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
