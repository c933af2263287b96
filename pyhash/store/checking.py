# SPDX-License-Identifier: Apache-2.0
"""What a store really lets a credential do: asked with live requests, one for each claim.

Nothing is believed that was not tried. What might be written or deleted in trying has a random name
that nothing else has.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyhash.errors import Finding, UsageError
from pyhash.fetch import Network
from pyhash.fetch.https import new_pool
from pyhash.s3_access import first_line, open_store, sign_url

if TYPE_CHECKING:
    import urllib3
    from obstore.store import S3Store

CLAIMS = ("versioning", "object-lock")
_LINK = timedelta(minutes=5)
_DENIED = frozenset({401, 403})
_READ = frozenset({200, 206})


@dataclass(frozen=True, slots=True)
class Tried:
    """One claim, and what trying it came to.

    Attributes:
        claim: What should hold, as a sentence.
        outcome: ``ok``: it does. ``wrong``: it does not. ``unknown``: the store did not say.
        answer: What the store answered.
    """

    claim: str
    outcome: str
    answer: str


def check_store(
    reference: str,
    reader: Network,
    *,
    known: str,
    writer: Network | None = None,
    claims: tuple[str, ...] = (),
) -> list[Tried]:
    """Try what a reader, nobody, and plain http can do in a home. May be called from any thread.

    Args:
        reference: The home, ``s3://BUCKET/PREFIX``.
        reader: How to reach it as a reader.
        known: An object that is there, below the home, such as the pointer.
        writer: How to reach it as a writer; needed for the claim of versioning.
        claims: Those of ``CLAIMS`` that are said to hold.

    Returns:
        What was tried, in order.

    Raises:
        UsageError: No such claim, or one that cannot be tried without a writer.
        DependencyError: The extra ``s3`` is not installed.
    """
    unknown = set(claims) - set(CLAIMS)
    if unknown:
        raise UsageError(f"no claim {', '.join(sorted(unknown))}; there are {', '.join(CLAIMS)}")
    if "versioning" in claims and writer is None:
        raise UsageError("versioning shows when something is written: name the writer's credential")
    store = _open(reference, reader)  # which refuses what is no reference
    parts = urlsplit(reference)
    below = parts.path.strip("/") + "/" if parts.path.strip("/") else ""
    trial = _Trial(store, new_pool(reader), below, known)
    tried = list(trial.reader(dict(reader.credentials)))
    if "object-lock" in claims:
        tried.append(trial.object_lock())
    if "versioning" in claims and writer is not None:
        tried.append(_versioning(_open(reference, writer), below))
    return tried


def findings_of(tried: list[Tried]) -> tuple[Finding, ...]:
    """Return what does not hold, as findings. Raises nothing."""
    return tuple(
        Finding("store", "", f"{one.claim}: {one.answer}") for one in tried if one.outcome != "ok"
    )


def _open(reference: str, network: Network) -> S3Store:
    return open_store(
        reference,
        dict(network.credentials),
        ca_file=network.ca_file,
        proxy=network.proxy,
        attempts=network.attempts,
    )


@dataclass(frozen=True, slots=True)
class _Trial:
    store: S3Store
    pool: urllib3.PoolManager
    below: str
    known: str

    def reader(self, credential: dict[str, str]) -> Iterator[Tried]:
        """Everything that a reader must and must not be able to do."""
        new = f"pyhash-probe-{secrets.token_hex(8)}"
        inside = self.below + new
        yield self._expect("a reader can read", _READ, "GET", self.below + self.known)
        yield self._expect("a reader cannot write", _DENIED, "PUT", inside, body=b"probe")
        yield self._expect("a reader cannot delete", _DENIED, "DELETE", inside)
        yield self._listing()
        if self.below:
            yield self._expect("a reader cannot read beyond its prefix", _DENIED, "GET", new)
            yield self._expect(
                "a reader cannot write beyond its prefix", _DENIED, "PUT", new, body=b"probe"
            )
        url = sign_url(self.store, "GET", self.below + self.known, _LINK).partition("?")[0]
        yield self._ask("nobody gets anything without a credential", _DENIED, "GET", url)
        yield self._plain_http(url)

    def object_lock(self) -> Tried:
        """Whether what is there cannot be deleted before a date."""
        claim = "releases are locked against deletion"
        answer = self._request("HEAD", sign_url(self.store, "HEAD", self.below + self.known, _LINK))
        if isinstance(answer, str):
            return Tried(claim, "unknown", answer)
        mode = answer.headers.get("x-amz-object-lock-mode")
        until = answer.headers.get("x-amz-object-lock-retain-until-date")
        if mode and until:
            return Tried(claim, "ok", f"{mode} until {until}")
        return Tried(claim, "wrong", f"{self.known} has no object lock")

    def _expect(
        self, claim: str, wanted: frozenset[int], method: str, key: str, body: bytes | None = None
    ) -> Tried:
        return self._ask(claim, wanted, method, sign_url(self.store, method, key, _LINK), body)

    def _ask(
        self, claim: str, wanted: frozenset[int], method: str, url: str, body: bytes | None = None
    ) -> Tried:
        answer = self._request(method, url, body)
        if isinstance(answer, str):
            return Tried(claim, "unknown", answer)
        said = f"{method} was answered with {answer.status}"
        if answer.status in wanted:
            return Tried(claim, "ok", said)
        is_busy = answer.status >= 500
        return Tried(claim, "unknown" if is_busy else "wrong", said)

    def _listing(self) -> Tried:
        import obstore
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        claim = "a reader cannot list the bucket"
        try:
            next(iter(obstore.list(self.store)), None)
        except (PermissionDeniedError, UnauthenticatedError):
            return Tried(claim, "ok", "denied")
        except BaseError as error:
            text = first_line(error)
            # The status, not just its digits: an address can have them in its port.
            denied = re.search(r" status code: 40[13]\b", text)
            return Tried(claim, "ok" if denied else "unknown", text)
        return Tried(claim, "wrong", "it was listed")

    def _plain_http(self, url: str) -> Tried:
        claim = "plain http is refused"
        answer = self._request("GET", "http" + url.removeprefix("https"))
        if isinstance(answer, str):
            return Tried(claim, "ok", answer)
        served = answer.status in _READ or answer.status in _DENIED
        return Tried(claim, "wrong" if served else "ok", f"answered with {answer.status}")

    def _request(
        self, method: str, url: str, body: bytes | None = None
    ) -> urllib3.BaseHTTPResponse | str:
        """The answer, or why there is none."""
        import urllib3

        try:
            return self.pool.request(method, url, body=body, redirect=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return str(error)


def _versioning(store: S3Store, below: str) -> Tried:
    """Whether what is replaced is kept: a store that does names the version that it made."""
    import obstore
    from obstore.exceptions import BaseError

    claim = "replaced objects are kept as versions"
    try:
        version = obstore.put(store, f"{below}pyhash-probe", b"probe")["version"]
    except BaseError as error:
        return Tried(claim, "unknown", first_line(error))
    return Tried(claim, "ok" if version else "wrong", f"version {version}")
