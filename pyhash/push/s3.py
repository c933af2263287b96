# SPDX-License-Identifier: Apache-2.0
"""A home of releases in an S3-compatible store: ``s3://BUCKET/PREFIX``, with a writer's credential.

Each request carries the SHA-256 of its bytes, which the server compares before it stores them; a
large file is sent in parts of whole spans.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyhash.errors import PushError
from pyhash.fetch import Network
from pyhash.push._base import Target, TargetKind
from pyhash.s3_access import first_line, open_store

if TYPE_CHECKING:
    from obstore.store import S3Store

PART_BYTES = 16 << 20  # of a multipart upload; whole spans, above every store's least
PART_UPLOADS = 4  # at once, of one file


class S3Target:
    """Stores objects below a prefix; a target as ``Target`` says."""

    def __init__(self, name: str, store: S3Store, prefix: str) -> None:
        """Remember an opened bucket.

        Args:
            name: For messages.
            store: The bucket.
            prefix: Of all keys; empty, or ends in ``/``.
        """
        self._name = name
        self._store = store
        self._prefix = prefix

    @property
    def name(self) -> str:
        """As given. Raises nothing."""
        return self._name

    def size_of(self, path: str) -> int | None:
        """See ``Target``.

        Raises:
            PushError: As ``Target.size_of``.
        """
        import obstore
        from obstore.exceptions import BaseError

        try:
            return obstore.head(self._store, self._prefix + path)["size"]
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise self._error(path, error) from error

    def read_small(self, path: str, limit: int) -> bytes | None:
        """See ``Target``.

        Raises:
            PushError: As ``Target.read_small``.
        """
        import obstore
        from obstore.exceptions import BaseError

        try:
            answer = obstore.get(self._store, self._prefix + path)
            if answer.meta["size"] > limit:
                raise PushError(f"{self._name}: {path}: more than {limit} bytes", path, self._name)
            return bytes(answer.bytes())
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise self._error(path, error) from error

    def put_file(self, path: str, local: str) -> None:
        """See ``Target``.

        Raises:
            PushError: As ``Target.put_file``.
        """
        import obstore
        from obstore.exceptions import BaseError

        try:
            obstore.put(
                self._store,
                self._prefix + path,
                Path(local),
                chunk_size=PART_BYTES,
                max_concurrency=PART_UPLOADS,
            )
        except (BaseError, OSError) as error:
            raise self._error(path, error) from error

    def put_new(self, path: str, data: bytes) -> bool:
        """See ``Target``. Stores that know no conditional writes are asked first instead.

        Raises:
            PushError: As ``Target.put_new``.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError

        if self.size_of(path) is not None:
            return False
        try:
            obstore.put(self._store, self._prefix + path, data, mode="create")
        except AlreadyExistsError:
            return False
        except BaseError as error:
            raise self._error(path, error) from error
        return True

    def put_over(self, path: str, data: bytes) -> None:
        """See ``Target``.

        Raises:
            PushError: As ``Target.put_over``.
        """
        import obstore
        from obstore.exceptions import BaseError

        try:
            obstore.put(self._store, self._prefix + path, data)
        except BaseError as error:
            raise self._error(path, error) from error

    def _error(self, path: str, error: Exception) -> PushError:
        return PushError(f"{self._name}: {path}: {first_line(error)}", path, self._name)


def _open_target(reference: str, network: Network) -> Target:
    store = open_store(
        reference, dict(network.credentials), ca_file=network.ca_file, proxy=network.proxy
    )
    prefix = urlsplit(reference).path.strip("/")
    return S3Target(reference, store, f"{prefix}/" if prefix else "")


KIND = TargetKind(("s3",), _open_target)
