# SPDX-License-Identifier: Apache-2.0
"""What is read: files of random bytes, made in a directory and removed again, or what is there.

A file or a device that exists is opened for reading only, here and everywhere in this package. In
a directory, nothing is written outside of one new subdirectory.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyhash.errors import ReadError, UsageError, WriteError

MIB = 1 << 20
PREFIX = "pyhash-bench-"  # of the subdirectory
WRITE_BYTES = 8 * MIB
# What stays free beside the sample: keys, bundles, and what others write meanwhile.
SPARE_BYTES = 64 * MIB


@dataclass(frozen=True, slots=True)
class Sample:
    """What is measured on.

    Attributes:
        kind: ``directory``: files made there; ``file`` or ``device``: one that was there.
        directory: Where files may be written while it lasts; None: nowhere.
        paths: The files.
        sizes: How many bytes of each are read, from its start; whole MiB, or a whole file.
        digests: SHA-256 of those bytes of each, where they are known without pyhash.
    """

    kind: str
    directory: Path | None
    paths: tuple[str, ...]
    sizes: tuple[int, ...]
    digests: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files together. Raises nothing."""
        return sum(self.sizes)


@contextmanager
def open_sample(target: str, size: int, files: int) -> Iterator[Sample]:
    """Yield a sample; what was made for it is gone when the block ends, however it ends.

    Args:
        target: A directory to write in, or a file or device to read.
        size: Bytes; of what exists, at most its first so many.
        files: How many files to make.

    Raises:
        UsageError: The size is less than a MiB for each file.
        ReadError: The target is not there, cannot be read, or is empty.
        WriteError: The directory has too little space, or cannot be written.
    """
    with _reading(target):
        mode = os.stat(target).st_mode
        existing = None if stat.S_ISDIR(mode) else _existing(target, mode, size)
    if existing is not None:
        yield existing
        return
    if size < files * MIB:
        raise UsageError(f"{files} files need at least {files} MiB; {size} bytes were asked for")
    with _directory(target, size) as directory:
        yield _make(directory, size // files // MIB * MIB, files)


@contextmanager
def _reading(target: str) -> Iterator[None]:
    """Turn the system's errors into ReadError."""
    try:
        yield
    except OSError as error:
        raise ReadError(f"{target}: {error.strerror}", target, error.errno) from error


def _existing(target: str, mode: int, size: int) -> Sample:
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise ReadError(f"{target}: neither a directory nor a file nor a block device", target)
    descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.lseek(descriptor, 0, os.SEEK_END)
    finally:
        os.close(descriptor)
    used = there if there <= size else max(1, size // MIB) * MIB
    if used == 0:
        raise ReadError(f"{target}: is empty; there is nothing to read", target)
    return Sample("file" if stat.S_ISREG(mode) else "device", None, (target,), (used,))


@contextmanager
def _directory(parent: str, size: int) -> Iterator[Path]:
    """A new subdirectory where there is space for it, gone when the block ends."""
    made: Path | None = None
    try:
        try:
            there = os.statvfs(parent)
            free = there.f_bavail * there.f_frsize
            if free < size + SPARE_BYTES:
                raise WriteError(
                    f"{parent}: {free // MIB} MiB are free, and {(size + SPARE_BYTES) // MIB} are"
                    " needed; nothing was written. Give a smaller --size, or another directory",
                    parent,
                )
            made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        except OSError as error:
            raise WriteError(f"{parent}: {error.strerror}", parent, error.errno) from error
        yield made
    finally:
        if made is not None:
            shutil.rmtree(made)


def _make(directory: Path, file_bytes: int, files: int) -> Sample:
    model = directory / "model"
    model.mkdir()
    paths = [str(model / f"weights-{number + 1:05d}.bin") for number in range(files)]
    try:
        digests = [_write(path, file_bytes) for path in paths]
    except OSError as error:
        raise WriteError(f"{directory}: {error.strerror}", str(directory), error.errno) from error
    return Sample("directory", directory, tuple(paths), (file_bytes,) * files, tuple(digests))


def _write(path: str, size: int) -> bytes:
    """Random bytes, so that no layer below can compress or share them, on the drive at the end."""
    digest = hashlib.sha256()
    with open(path, "xb", buffering=0) as file:
        left = size
        while left:
            data = os.urandom(min(left, WRITE_BYTES))
            written = file.write(data)
            digest.update(memoryview(data)[:written])
            left -= written
        os.fsync(file.fileno())
    return digest.digest()
