# SPDX-License-Identifier: Apache-2.0
"""Where fetched spans are written: into the damaged file itself, or into a new one beside it.

Into the file itself, span by span: every byte of a file is then either what it was or what was
signed, whenever the process or the machine stops, and a span that was whole is never written to.
A file that is missing, that has other names (hard links), or that must not be written to is made
anew in a directory of its own inside the checkpoint, compared whole, and renamed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pyhash import errors, files, hashing
from pyhash.atomic import sync_directory
from pyhash.merkle import DIGEST_BYTES, SPAN_BYTES
from pyhash.paths import UNFINISHED_PREFIX, encode_path
from pyhash.pull.quarantine import Quarantine
from pyhash.repair.stock import Damage

BLOCK_BYTES = 4096  # what systems cache and file systems write at once
WORK_PREFIX = UNFINISHED_PREFIX + "repair-"
# What says that a file must not be written to where it is (read-only, sealed, being executed).
_NOT_HERE = (errno.EPERM, errno.EACCES, errno.ETXTBSY)


@dataclass(frozen=True, slots=True)
class Mended:
    """One shard after its repair.

    Attributes:
        path: The shard.
        kind: What was wrong with it, as ``Damage.kind``.
        replaced: It is a new file now; else it was written to where it was.
        bytes_written: How much of it was fetched.
    """

    path: str
    kind: str
    replaced: bool
    bytes_written: int


def work_name(root: bytes) -> str:
    """Return the name of the directory that new files of a checkpoint are made in.

    Raises nothing.
    """
    return WORK_PREFIX + hashlib.sha256(root).hexdigest()[:16]


class Target:
    """The damaged shards of one checkpoint, open to be written to span by span, by any thread."""

    def __init__(self, listing: files.Listing, directory: str, work: str) -> None:
        """Remember where; nothing is written yet.

        Args:
            listing: The checkpoint as it was when it was hashed.
            directory: The checkpoint's directory; of a single file, the directory that it lies in.
            work: Name in there for the directory of new files.
        """
        self._listing = listing
        self._directory = directory
        self._work = Quarantine(os.path.join(directory, work), directory)
        self._in_place: dict[str, tuple[int, int]] = {}

    def prepare(self, damage: Damage, options: hashing.Options) -> tuple[int, ...]:
        """Choose where a shard's spans go; a new file gets what is whole in the old one.

        Args:
            damage: The shard.
            options: How to hash what an earlier repair has left of a new file.

        Returns:
            The spans that are still to be fetched.

        Raises:
            ChangedWhileReadError: The file is not the one that was hashed.
            ReadError, WriteError: The system would not.
            UsageError: Something that is not ours is where new files are made.
        """
        if damage.file is not None:
            with files.open_files(self._listing, (damage.file,)) as (descriptor,):
                if self._can_write(descriptor):
                    status = os.fstat(descriptor)
                    self._in_place[damage.path] = (status.st_dev, status.st_ino)
                    with _writing(damage.path):
                        _drop_unreadable_end(descriptor, status.st_size)
                    return damage.spans
                return self._make_new(damage, descriptor, options)
        return self._make_new(damage, None, options)

    @contextmanager
    def writing(self, name: str) -> Iterator[int]:
        """Open a prepared shard. Yields its descriptor.

        Raises:
            ChangedWhileReadError: The file was replaced meanwhile, or has got a second name.
            WriteError: The system would not, when opening or within the block.
        """
        if name not in self._in_place:
            with self._work.writing(name) as descriptor, _writing(name):
                yield descriptor
            return
        with _writing(name):
            descriptor = self._open_in_place(name)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def finish(self, damage: Damage, options: hashing.Options) -> Mended:
        """Give a shard its size, make it durable, compare all of it, and its name if it is new.

        Args:
            damage: The shard; every span of it has been written.
            options: How to hash.

        Raises:
            DigestMismatchError: It still is not what was signed: something else writes to it, or
                the drive does not keep what it is given.
            ReadError, WriteError: The system would not.
        """
        replaced = damage.path not in self._in_place
        with self.writing(damage.path) as descriptor:
            if os.fstat(descriptor).st_size != damage.size:
                os.ftruncate(descriptor, damage.size)
            os.fsync(descriptor)
        place = self._work.place(damage.path) if replaced else self._place(damage.path)
        if hashing.hash_file(place, options=options).root != damage.root:
            message = "was written anew, and still is not what was signed"
            finding = errors.Finding("digest", damage.path, message)
            raise errors.DigestMismatchError(f"{damage.path}: {message}", (finding,))
        if replaced:
            with _writing(damage.path):
                self._give_name(damage)
        return Mended(damage.path, damage.kind, replaced, damage.bytes_wanted)

    def remove_work(self) -> None:
        """Remove the directory of new files, if there is one of ours.

        Raises:
            UsageError: Something that is not ours is in its place.
            WriteError: The system would not.
        """
        if self.is_work_there():
            self._work.keep_only(())
            with _writing(self._work.path), suppress(FileNotFoundError):
                os.rmdir(self._work.path)

    def is_work_there(self) -> bool:
        """Whether an earlier repair has left a directory of new files.

        Raises:
            UsageError: Something that is not ours is in its place.
        """
        try:
            status = os.lstat(self._work.path)
        except OSError:
            return False
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise errors.UsageError(
                f"{self._work.path}: is not a directory of this user's; remove it first"
            )
        return True

    def _place(self, path: str) -> str:
        if self._listing.is_single_file:
            return self._listing.location
        return os.path.join(self._directory, path)

    def _can_write(self, descriptor: int) -> bool:
        """Whether an open file may be written to where it is."""
        if os.fstat(descriptor).st_nlink != 1:
            return False
        try:
            # By the descriptor: the very file that was listed, whatever its name leads to now.
            os.close(os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            if error.errno in (*_NOT_HERE, errno.ENOENT):
                return False
            raise errors.WriteError(f"{error.strerror}", None, error.errno) from error
        return True

    def _open_in_place(self, name: str) -> int:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        if self._listing.is_single_file:
            flags &= ~os.O_NOFOLLOW
        descriptor = os.open(encode_path(self._place(name)), flags)
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) != self._in_place[name] or status.st_nlink != 1:
            os.close(descriptor)
            finding = errors.Finding("changed", name, "was replaced while it was being repaired")
            raise errors.ChangedWhileReadError(f"{name}: {finding.message}", (finding,))
        return descriptor

    def _make_new(
        self, damage: Damage, old: int | None, options: hashing.Options
    ) -> tuple[int, ...]:
        if not self.is_work_there():
            with _writing(self._work.path):
                os.mkdir(self._work.path, 0o700)
        if self._work.make_file(damage.path, damage.size):
            missing = _differing(damage, self._work.place(damage.path), options)
        else:
            missing = tuple(range(len(damage.nodes) // DIGEST_BYTES))
        if old is None:
            return missing
        lost = frozenset(damage.spans)
        with self.writing(damage.path) as new:
            for span in missing:
                if span not in lost:
                    _copy_span(old, new, span * SPAN_BYTES, damage.size)
            status = os.fstat(old)
            os.fchmod(new, stat.S_IMODE(status.st_mode))
            with suppress(PermissionError):
                os.fchown(new, status.st_uid, status.st_gid)
        return tuple(span for span in missing if span in lost)

    def _give_name(self, damage: Damage) -> None:
        """Rename a new file to its place, through directories that are no links."""
        if self._listing.is_single_file:
            place = os.path.realpath(self._listing.location)
            os.rename(encode_path(self._work.place(damage.path)), place)
            sync_directory(os.path.dirname(place))
            return
        *above, name = damage.path.split("/")
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for one in above:
                directory = _descend(directory, one)
            source = encode_path(self._work.place(damage.path))
            os.rename(source, encode_path(name), dst_dir_fd=directory)
            os.fsync(directory)
        finally:
            os.close(directory)


def _drop_unreadable_end(descriptor: int, size: int) -> None:
    """Cut off a last block that the drive will not give: writing a part of it would read it first,
    and fail. Its bytes are lost already; the block is then written as one that is new.
    """
    start = max(0, size - 1) // BLOCK_BYTES * BLOCK_BYTES
    try:
        os.pread(descriptor, size - start, start)
    except OSError:
        writable = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
        try:
            os.ftruncate(writable, start)
        finally:
            os.close(writable)


def _descend(directory: int, name: str) -> int:
    """Open a directory below another, make it where it is missing, and close the other."""
    with suppress(FileExistsError):
        os.mkdir(encode_path(name), 0o755, dir_fd=directory)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
    below = os.open(encode_path(name), flags, dir_fd=directory)
    os.close(directory)
    return below


def _differing(damage: Damage, place: str, options: hashing.Options) -> tuple[int, ...]:
    """Return the spans of a new file, which an earlier repair left, that are not as signed."""
    found = hashing.hash_file(place, options=options).span_nodes
    return tuple(
        offset // DIGEST_BYTES
        for offset in range(0, len(damage.nodes), DIGEST_BYTES)
        if found[offset : offset + DIGEST_BYTES] != damage.nodes[offset : offset + DIGEST_BYTES]
    )


def _copy_span(old: int, new: int, start: int, size: int) -> None:
    """Copy one span inside the system, without its bytes where the file system can share them."""
    end = min(start + SPAN_BYTES, size)
    while start < end:
        try:
            count = os.copy_file_range(old, new, end - start, start, start)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            count = os.pwrite(new, os.pread(old, end - start, start), start)
        if count == 0:
            return  # became shorter; the whole file is compared before it gets its name
        start += count


@contextmanager
def _writing(path: str) -> Iterator[None]:
    """Turn the system's errors into WriteError."""
    try:
        yield
    except OSError as error:
        raise errors.WriteError(f"{path}: {error.strerror or error}", path, error.errno) from error
