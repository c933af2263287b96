# SPDX-License-Identifier: Apache-2.0
"""A home of releases in a directory: a share, a drive, what a web server serves from."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

from pyhash import atomic, files
from pyhash.errors import PushError, PyhashError
from pyhash.fetch import Network
from pyhash.push._base import Target, TargetKind

_COPY_BYTES = 16 << 20


class DirectoryTarget:
    """Writes files below one directory; a target as ``Target`` says."""

    def __init__(self, location: str) -> None:
        """Remember the directory; it is made when something is stored.

        Args:
            location: The home.
        """
        self._location = location

    @property
    def name(self) -> str:
        """The directory. Raises nothing."""
        return self._location

    def size_of(self, path: str) -> int | None:
        """See ``Target``.

        Raises:
            PushError: As ``Target.size_of``.
        """
        try:
            return os.lstat(self._place(path)).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error(path, error) from error

    def read_small(self, path: str, limit: int) -> bytes | None:
        """See ``Target``.

        Raises:
            PushError: As ``Target.read_small``.
        """
        if self.size_of(path) is None:
            return None
        try:
            return files.read_small(self._place(path), limit)
        except PyhashError as error:
            raise self._error(path, error) from error

    def put_file(self, path: str, local: str) -> None:
        """See ``Target``. The file has its name only when it is whole and durable.

        Raises:
            PushError: As ``Target.put_file``.
        """
        place = self._place(path)
        temporary = _temporary(place)
        try:
            self._make_directory(place)
            with open(local, "rb") as source, open(temporary, "xb") as target:
                shutil.copyfileobj(source, target, _COPY_BYTES)
                target.flush()
                os.fsync(target.fileno())
            os.rename(temporary, place)
            atomic.sync_directory(os.path.dirname(place))
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary)
            raise self._error(path, error) from error

    def put_new(self, path: str, data: bytes) -> bool:
        """See ``Target``.

        Raises:
            PushError: As ``Target.put_new``.
        """
        place = self._place(path)
        temporary = _temporary(place)
        try:
            self._make_directory(place)
            atomic.write_file(temporary, data)
            try:
                os.link(temporary, place)  # which, unlike a rename, replaces nothing
            except FileExistsError:
                return False
            finally:
                os.unlink(temporary)
            atomic.sync_directory(os.path.dirname(place))
        except (OSError, PyhashError) as error:
            raise self._error(path, error) from error
        return True

    def put_over(self, path: str, data: bytes) -> None:
        """See ``Target``.

        Raises:
            PushError: As ``Target.put_over``.
        """
        try:
            self._make_directory(self._place(path))
            atomic.write_file(self._place(path), data)
        except (OSError, PyhashError) as error:
            raise self._error(path, error) from error

    def _place(self, path: str) -> str:
        return os.path.join(self._location, path)

    def _make_directory(self, place: str) -> None:
        os.makedirs(os.path.dirname(place), exist_ok=True)

    def _error(self, path: str, error: OSError | PyhashError) -> PushError:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return PushError(f"{self.name}: {path}: {reason}", path, self.name)


def _open_target(reference: str, network: Network) -> Target:
    return DirectoryTarget(reference.removeprefix("file://"))


KIND = TargetKind(("", "file"), _open_target)


def _temporary(place: str) -> str:
    """By chance: numbers of processes and threads come again in containers, names of files stay."""
    return f"{place}.{os.urandom(8).hex()}.partial"
