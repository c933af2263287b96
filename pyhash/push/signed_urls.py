# SPDX-License-Identifier: Apache-2.0
"""A home of releases behind URLs that are signed for PUT: no SDK and no credential on this host.

A signed URL can do one thing with one object, so nothing can be asked for: every object is sent,
and the server is asked not to replace a bundle that is there (``If-None-Match: *``). What arrives
is bound to its SHA-256 by ``Repr-Digest`` (RFC 9530) where the server checks that, and by the
reader anyway.
"""

from __future__ import annotations

import base64
import hashlib
import os
from typing import IO

from pyhash.digests import hash_files
from pyhash.errors import PushError
from pyhash.fetch import Network
from pyhash.fetch.https import new_pool, reason_of
from pyhash.fetch.links import LinkSet, read_links
from pyhash.push._base import Target, TargetKind
from pyhash.releases import release_prefix

_STORED = frozenset({200, 201, 204})
_EXISTS = frozenset({409, 412})


class SignedUrlTarget:
    """Sends objects to signed URLs; a target as ``Target`` says."""

    def __init__(self, name: str, links: LinkSet, network: Network) -> None:
        """Make ready; connects to nobody yet.

        Args:
            name: For messages.
            links: The URLs, for paths below the release.
            network: How to reach them.
        """
        self._name = name
        self._prefix = release_prefix(links.root)
        self._links = links
        self._pool = new_pool(network)

    @property
    def name(self) -> str:
        """As given. Raises nothing."""
        return self._name

    def size_of(self, path: str) -> int | None:
        """See ``Target``; None, as there is no way to ask. Raises nothing."""
        return None

    def read_small(self, path: str, limit: int) -> bytes | None:
        """See ``Target``; None, as there is no way to ask. Raises nothing."""
        return None

    def put_file(self, path: str, local: str) -> None:
        """See ``Target``.

        Raises:
            PushError: As ``Target.put_file``.
            EngineError: Out of memory.
        """
        (found,) = hash_files([local])
        if found.digest is None:
            raise PushError(f"{self._name}: {path}: {found.error}", path, self._name)
        try:
            with open(local, "rb") as file:
                self._put(path, file, os.fstat(file.fileno()).st_size, found.digest, {})
        except OSError as error:
            raise PushError(f"{self._name}: {path}: {error.strerror}", path, self._name) from error

    def put_new(self, path: str, data: bytes) -> bool:
        """See ``Target``.

        Raises:
            PushError: As ``Target.put_new``.
        """
        digest = hashlib.sha256(data).digest()
        return self._put(path, data, len(data), digest, {"If-None-Match": "*"})

    def put_over(self, path: str, data: bytes) -> None:
        """See ``Target``.

        Raises:
            PushError: As ``Target.put_over``.
        """
        self._put(path, data, len(data), hashlib.sha256(data).digest(), {})

    def _put(
        self, path: str, body: IO[bytes] | bytes, size: int, digest: bytes, more: dict[str, str]
    ) -> bool:
        import urllib3

        url = self._links.urls.get(path) or self._links.urls.get(path.removeprefix(self._prefix))
        if url is None or not url.startswith("https://"):
            raise PushError(f"{self._name}: has no https link for {path}", path, self._name)
        headers = {
            "Content-Length": str(size),
            "Repr-Digest": f"sha-256=:{base64.b64encode(digest).decode('ascii')}:",
        }
        try:
            # Not preloaded: nothing is read of an answer but its head, however long it is.
            response = self._pool.request(
                "PUT", url, body=body, headers=headers | more, redirect=False, preload_content=False
            )
            if response.headers.get("Content-Length") == "0":
                response.read()  # nothing; the connection can be used again
            response.close()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise PushError(
                f"{self._name}: {path}: {reason_of(error)}", path, self._name
            ) from error
        if response.status in _EXISTS and more:
            return False
        if response.status not in _STORED:
            raise PushError(
                f"{self._name}: {path}: the server answered {response.status}", path, self._name
            )
        return True


def _open_target(reference: str, network: Network) -> Target:
    location, links = read_links(reference, "PUT")
    return SignedUrlTarget(location, links, network)


KIND = TargetKind(("links",), _open_target)
