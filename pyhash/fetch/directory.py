# SPDX-License-Identifier: Apache-2.0
"""A release in a directory: a mounted share, a second drive, a USB stick."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from pyhash import files
from pyhash.errors import FetchError, NotThereError, ReadError
from pyhash.fetch._base import Network, Source, SourceKind
from pyhash.merkle import SPAN_BYTES

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class DirectorySource:
    """Reads files below one directory; a source as ``Source`` says."""

    def __init__(self, location: str) -> None:
        """Remember the directory.

        Args:
            location: The directory.

        Raises:
            FetchError: It is not one.
        """
        if not os.path.isdir(location):
            raise FetchError(f"{location}: no such directory", location, location)
        self._location = location

    @property
    def name(self) -> str:
        """The directory. Raises nothing."""
        return self._location

    def fetch_small(self, path: str, limit: int) -> bytes:
        """See ``Source``.

        Raises:
            NotThereError, LimitError, FetchError: As ``Source.fetch_small``.
        """
        try:
            return files.read_small(os.path.join(self._location, path), limit)
        except ReadError as error:
            raise self._error(error, path) from error

    def fetch_spans(self, path: str, start: int, end: int, size: int) -> Iterator[bytes]:
        """See ``Source``.

        Raises:
            NotThereError, FetchError: As ``Source.fetch_spans``.
        """
        try:
            descriptor = os.open(os.path.join(self._location, path), _FLAGS)
        except OSError as error:
            raise self._error(error, path) from error
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size != size:
                raise FetchError(
                    f"{self.name}: {path}: not a file of the signed {size} bytes", path, self.name
                )
            read = files.read_at(path, descriptor)
            for at in range(start, end, SPAN_BYTES):
                yield read(at, min(SPAN_BYTES, end - at))
        except ReadError as error:
            raise self._error(error, path) from error
        finally:
            os.close(descriptor)

    def size_of(self, path: str) -> int:
        """See ``Source``.

        Raises:
            NotThereError, FetchError: As ``Source.size_of``; also where it is no regular file.
        """
        try:
            status = os.stat(os.path.join(self._location, path))
        except OSError as error:
            raise self._error(error, path) from error
        if not stat.S_ISREG(status.st_mode):
            raise FetchError(f"{self.name}: {path}: not a regular file", path, self.name)
        return status.st_size

    def close(self) -> None:
        """Nothing is kept open. Raises nothing."""

    def _error(self, error: OSError | ReadError, path: str) -> FetchError:
        kind = NotThereError if _is_missing(error) else FetchError
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return kind(f"{self.name}: {path}: {reason}", path, self.name)


def _is_missing(error: OSError | ReadError) -> bool:
    return isinstance(error, FileNotFoundError) or isinstance(error.__cause__, FileNotFoundError)


def _open_source(reference: str, network: Network) -> Source:
    return DirectorySource(reference.removeprefix("file://"))


KIND = SourceKind(("", "file"), _open_source)
