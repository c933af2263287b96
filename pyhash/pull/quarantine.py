# SPDX-License-Identifier: Apache-2.0
"""The directory that a release grows in: beside its destination, hidden, closed to others, and
given the destination's name only when all of it is verified.

What an earlier pull left there is taken up again. It is not believed: its digests decide.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from pyhash import atomic
from pyhash.errors import UsageError, WriteError
from pyhash.paths import encode_path

_SPARE_BYTES = 16 << 20  # what the file system must have left beside the files themselves


class Quarantine:
    """One such directory, held by one process at a time."""

    def __init__(self, path: str, destination: str) -> None:
        """Remember where; ``quarantine_for`` makes one.

        Args:
            path: The directory.
            destination: Its name when all is verified.
        """
        self.path = path
        self.destination = destination

    def place(self, name: str) -> str:
        """Return where a file of the release lies in here. Raises nothing."""
        return os.path.join(self.path, name)

    def make_file(self, name: str, size: int) -> bool:
        """Make an empty file of its final size, unless an earlier pull did.

        Returns:
            Whether it was there already.

        Raises:
            WriteError: The system would not.
        """
        target = self.place(name)
        with _writing(target):
            os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(encode_path(target), flags, 0o644)
            try:
                known = os.fstat(descriptor).st_size == size
                if not known:
                    os.ftruncate(descriptor, 0)
                    os.ftruncate(descriptor, size)
                return known and size > 0
            finally:
                os.close(descriptor)

    @contextmanager
    def reading(self, name: str) -> Iterator[int]:
        """Open a file that ``make_file`` made. Yields its descriptor.

        Raises:
            WriteError: The system would not.
        """
        target = self.place(name)
        with _writing(target):
            descriptor = os.open(encode_path(target), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def writing(self, name: str) -> Iterator[int]:
        """Open a file that ``make_file`` made. Yields its descriptor.

        Raises:
            WriteError: The system would not, when opening or within the block.
        """
        target = self.place(name)
        with _writing(target):
            descriptor = os.open(encode_path(target), os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def settle(self, name: str) -> None:
        """Make durable what has been written to a file. Callable from any thread.

        After the drive has refused, lost pages still read as if they had been written. So the file
        goes, and no later pull takes it up again.

        Raises:
            WriteError: The system would not.
        """
        place = encode_path(self.place(name))
        with _writing(self.place(name)):
            descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.fsync(descriptor)
            except OSError:
                os.unlink(place)
                raise
            finally:
                os.close(descriptor)

    def keep_only(self, names: Collection[str]) -> None:
        """Remove every file but these.

        Raises:
            WriteError: The system would not.
        """
        kept = set(names)
        with _writing(self.path):
            for directory, below, there in os.walk(self.path, topdown=False):
                for one in there:
                    place = os.path.join(directory, one)
                    if os.path.relpath(place, self.path) not in kept:
                        os.unlink(place)
                for one in below:
                    with suppress(OSError):  # not empty
                        os.rmdir(os.path.join(directory, one))

    def check_space(self, wanted: int) -> None:
        """Refuse now what would fail later.

        Raises:
            WriteError: The file system has less room than that many bytes.
        """
        try:
            status = os.statvfs(self.path)
        except OSError as error:
            message = f"{self.destination}: its room cannot be asked for: {error.strerror}"
            raise WriteError(message, self.destination, error.errno) from error
        free = status.f_bavail * status.f_frsize
        if free < wanted + _SPARE_BYTES:
            raise WriteError(
                f"{self.destination}: {wanted} bytes are still to come, and the file system has"
                f" room for {max(0, free - _SPARE_BYTES)}",
                self.destination,
                errno.ENOSPC,
            )

    def publish(self, names: list[str]) -> None:
        """Make everything durable, and give the directory its name.

        Args:
            names: The files.

        Raises:
            UsageError: Somebody has put something at the destination meanwhile.
            WriteError: The system would not; the quarantine is still there.
        """
        with _writing(self.destination):
            for name in names:
                self.settle(name)
            for directory, _, _ in os.walk(self.path):
                atomic.sync_directory(directory)
            os.chmod(self.path, 0o755)  # noqa: S103 - readable like any directory; was closed
            atomic.rename_new(self.path, self.destination)


@contextmanager
def quarantine_for(destination: str, bundle: bytes) -> Iterator[Quarantine]:
    """Make the quarantine of one release, or take up again the one that is there.

    Args:
        destination: Where the release is to appear.
        bundle: Its bundle: another release has another quarantine.

    Yields:
        The quarantine; no other process has it until the block ends.

    Raises:
        UsageError: There is something at the destination, or another pull of the same is under way.
        WriteError: It cannot be made.
    """
    parent, name = os.path.split(os.path.abspath(destination))
    mark = hashlib.sha256(bundle).hexdigest()[:16]
    path = os.path.join(parent, f".{name}.{mark}.partial")
    with _writing(path):
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        if os.lstat(path).st_uid != os.geteuid() or os.path.islink(path):
            raise UsageError(f"{path}: is somebody else's; remove it, or pull to another place")
        os.chmod(path, 0o700)
        # The directory itself is what is locked: the lock goes where the directory goes.
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"{destination}: another pull of it is under way, or its file system has no locks"
                f" ({error.strerror})"
            ) from error
        yield Quarantine(path, destination)
    finally:
        os.close(lock)


@contextmanager
def _writing(path: str) -> Iterator[None]:
    """Turn the system's errors into WriteError."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"{path}: {error.strerror or error}", path, error.errno) from error
