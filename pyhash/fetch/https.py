# SPDX-License-Identifier: Apache-2.0
"""A release behind ``https://``: ranges, no SDK, no credentials. TLS 1.2 or later, always verified.

Plain ``http://`` is refused, also as the target of a redirect: who is on the way could not change a
span unnoticed, but could see what is loaded, and hold an old release back.
"""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from pyhash.errors import DependencyError, FetchError, LimitError, NotThereError, UsageError
from pyhash.fetch._base import Network, Source, SourceKind, cut_spans
from pyhash.merkle import SPAN_BYTES

if TYPE_CHECKING:
    import urllib3

MAX_REDIRECTS = 5
MAX_REDIRECT_BYTES = 1 << 16  # of an answer that leads elsewhere
CONNECTIONS = 64  # kept open at most; as many threads may read at once
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MISSING = frozenset({404, 410})
_TICK_SECONDS = 0.25
_SIZE = re.compile(r"[0-9]{1,19}")
_RANGE_AND_SIZE = re.compile(r"bytes .*/([0-9]{1,19})")
NO_ADDRESS = "leads to what is no address"


class HttpsSource:
    """Fetches ranges over HTTPS; a source as ``Source`` says."""

    def __init__(self, name: str, url_of: Callable[[str], str], network: Network) -> None:
        """Make ready; connects to nobody yet.

        Args:
            name: For messages; holds no secret.
            url_of: From a path below the release to its URL.
            network: How to reach it.

        Raises:
            DependencyError: urllib3 is not installed.
            UsageError: The file of authorities cannot be used.
        """
        self._name = name
        self._url_of = url_of
        self._network = network
        self._pool = new_pool(network)
        self._watch = _Watch()
        self._etags: dict[str, str] = {}

    @property
    def name(self) -> str:
        """As given. Raises nothing."""
        return self._name

    def fetch_small(self, path: str, limit: int) -> bytes:
        """See ``Source``.

        Raises:
            NotThereError, LimitError, FetchError: As ``Source.fetch_small``.
        """
        with self._request(path, None, self._network.span_seconds) as response:
            data = bytearray()
            while piece := self._read(response, path, min(SPAN_BYTES, limit + 1 - len(data))):
                data += piece
                if len(data) > limit:
                    raise LimitError(f"{self._name}: {path}: more than {limit} bytes", path)
            return bytes(data)

    def fetch_spans(self, path: str, start: int, end: int, size: int) -> Iterator[bytes]:
        """See ``Source``.

        Raises:
            NotThereError, FetchError: As ``Source.fetch_spans``.
        """
        if start == end:
            return
        spans = -(-(end - start) // SPAN_BYTES)
        with self._request(path, (start, end), self._network.span_seconds * spans) as response:
            self._check_range(response, path, start, end, size)
            yield from cut_spans(self._pieces(response, path), start, end, path, self._name)

    def size_of(self, path: str) -> int:
        """See ``Source``.

        Raises:
            NotThereError, FetchError: As ``Source.size_of``.
        """
        with self._request(path, (0, 1), self._network.span_seconds) as response:
            answer = response.headers.get("Content-Range", "")
            if response.status == 206 and (match := _RANGE_AND_SIZE.fullmatch(answer)):
                return int(match[1])
            length = response.headers.get("Content-Length", "")
            if response.status == 200 and _SIZE.fullmatch(length):
                return int(length)
        raise FetchError(
            f"{self._name}: {path}: the server does not say its size", path, self._name
        )

    def close(self) -> None:
        """See ``Source``. Raises nothing."""
        self._watch.stop()
        self._pool.clear()

    def _pieces(self, response: urllib3.BaseHTTPResponse, path: str) -> Iterator[bytes]:
        while piece := self._read(response, path, SPAN_BYTES):
            yield piece

    def _read(self, response: urllib3.BaseHTTPResponse, path: str, count: int) -> bytes:
        import urllib3

        try:
            return response.read(count, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = "too slow" if self._watch.has_ended(response) else reason_of(error)
            raise FetchError(f"{self._name}: {path}: {reason}", path, self._name) from error

    @contextmanager
    def _request(
        self, path: str, wanted: tuple[int, int] | None, seconds: float
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield the answer to a GET, whose reading ends by itself after so many seconds."""
        headers = {"Accept-Encoding": "identity"}
        if wanted:
            headers["Range"] = f"bytes={wanted[0]}-{wanted[1] - 1}"
        response = self._follow(path, headers)
        with self._watch.limit(response, seconds):
            try:
                self._check_status(response, path)
                yield response
            finally:
                # What was not read to its end is of no use to the next request.
                response.close()

    def _follow(self, path: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        import urllib3

        url = self._url_of(path)
        for _ in range(MAX_REDIRECTS + 1):
            self._check_scheme(url, path)
            try:
                response = self._pool.request(
                    "GET", url, headers=headers, redirect=False, preload_content=False
                )
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                raise FetchError(
                    f"{self._name}: {path}: {reason_of(error)}", path, self._name
                ) from error
            target = response.headers.get("Location")
            if response.status not in _REDIRECTS or target is None:
                return response
            self._let_go(response)
            url = self._join(url, target, path)
        raise FetchError(
            f"{self._name}: {path}: more than {MAX_REDIRECTS} redirects", path, self._name
        )

    def _let_go(self, response: urllib3.BaseHTTPResponse) -> None:
        """Read what comes along with a redirect, so that its connection can be used again; one that
        is long or slow is closed.
        """
        import urllib3

        with (
            self._watch.limit(response, self._network.timeout_seconds),
            suppress(urllib3.exceptions.HTTPError, OSError, ValueError),
        ):
            response.read(MAX_REDIRECT_BYTES, decode_content=False)
        response.close()

    def _join(self, url: str, target: str, path: str) -> str:
        try:
            return urljoin(url, target)
        except ValueError as error:
            raise FetchError(f"{self._name}: {path}: {NO_ADDRESS}", path, self._name) from error

    def _check_scheme(self, url: str, path: str) -> None:
        scheme, colon, _ = url.partition(":")
        if scheme.lower() == "https" and colon:
            return
        # Nothing else of the address is repeated: it may be a signed one.
        reason = f"leads to {scheme}://, and only https is fetched from"
        if not (colon and scheme.isalnum() and len(scheme) < 10):
            reason = NO_ADDRESS
        raise FetchError(f"{self._name}: {path}: {reason}", path, self._name)

    def _check_status(self, response: urllib3.BaseHTTPResponse, path: str) -> None:
        status = response.status
        if status in (200, 206):
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise FetchError(
                    f"{self._name}: {path}: came encoded, which was not asked for", path, self._name
                )
            return
        kind = NotThereError if status in _MISSING else FetchError
        meaning = {
            401: ": no credentials, or not these",
            403: ": not allowed; a signed URL may have expired",
            416: ": shorter than the signed size",
        }.get(status, "")
        raise kind(
            f"{self._name}: {path}: the server answered {status}{meaning}",
            path,
            self._name,
            status,
        )

    def _check_range(
        self, response: urllib3.BaseHTTPResponse, path: str, start: int, end: int, size: int
    ) -> None:
        """Refuse an answer with other bytes than those that were asked for, before reading it."""
        etag = response.headers.get("ETag")
        if etag is not None and self._etags.setdefault(path, etag) != etag:
            raise FetchError(
                f"{self._name}: {path}: another object than a moment ago (its ETag changed)",
                path,
                self._name,
            )
        if response.status == 206:
            found, wanted = response.headers.get("Content-Range"), f"bytes {start}-{end - 1}/{size}"
        elif (start, end) == (0, size):
            found, wanted = response.headers.get("Content-Length"), str(size)
        else:
            raise FetchError(
                f"{self._name}: {path}: the server ignores ranges and sent the whole object",
                path,
                self._name,
            )
        if found != wanted:
            raise FetchError(
                f"{self._name}: {path}: the server sent {found!r} instead of {wanted!r}; the object"
                " is not of the signed size",
                path,
                self._name,
            )


class _Watch:
    """Ends answers that take too long, from a thread of its own: a drip never times out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deadlines: dict[int, tuple[urllib3.BaseHTTPResponse, float]] = {}
        self._ended: set[int] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def limit(self, response: urllib3.BaseHTTPResponse, seconds: float) -> Iterator[None]:
        """End the reading of an answer unless the block ends before."""
        with self._lock:
            self._deadlines[id(response)] = (response, time.monotonic() + seconds)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pyhash-watch", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                del self._deadlines[id(response)]
                self._ended.discard(id(response))

    def has_ended(self, response: urllib3.BaseHTTPResponse) -> bool:
        """Whether this answer was ended here."""
        with self._lock:
            return id(response) in self._ended

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(_TICK_SECONDS):
            now = time.monotonic()
            with self._lock:
                for key, (response, deadline) in self._deadlines.items():
                    if deadline < now and key not in self._ended:
                        self._ended.add(key)
                        _shut(response)


def _shut(response: urllib3.BaseHTTPResponse) -> None:
    try:
        response.shutdown()
    except (OSError, ValueError, RuntimeError):
        return  # it is over already


def reason_of(error: Exception) -> str:
    """Return the innermost reason of a failed request, which urllib3 wraps several times.

    An address that makes no sense is not repeated: a signed one is a secret. Raises nothing.
    """
    reason = getattr(error, "reason", None)
    if isinstance(reason, Exception):
        return reason_of(reason)
    is_address = isinstance(error, ValueError) and not isinstance(error, OSError)
    return NO_ADDRESS if is_address else str(error) or type(error).__name__


def new_pool(network: Network) -> urllib3.PoolManager:
    """Return a pool of connections, all of them TLS 1.2 or later and verified.

    Raises:
        DependencyError: urllib3 is not installed.
        UsageError: The file of authorities cannot be used.
    """
    try:
        import urllib3
    except ImportError as error:
        raise DependencyError("urllib3 is not installed: pip install urllib3") from error
    try:
        context = ssl.create_default_context(cafile=network.ca_file)
    except OSError as error:
        raise UsageError(
            f"{network.ca_file}: cannot be used as a list of authorities: {error}"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    timeout = urllib3.Timeout(connect=network.timeout_seconds, read=network.timeout_seconds)
    if network.proxy:
        try:
            return urllib3.ProxyManager(
                network.proxy,
                maxsize=CONNECTIONS,
                timeout=timeout,
                retries=False,
                ssl_context=context,
            )
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise UsageError(f"{network.proxy}: no proxy that can be used: {error}") from error
    return urllib3.PoolManager(
        maxsize=CONNECTIONS, timeout=timeout, retries=False, ssl_context=context
    )


def below(base: str) -> Callable[[str], str]:
    """Return a function from a path to its URL below ``base``; a query of the base is kept.

    Raises nothing.
    """
    address, mark, query = base.partition("?")

    def url_of(path: str) -> str:
        return f"{address.rstrip('/')}/{quote(path)}{mark}{query}"

    return url_of


def _open_source(reference: str, network: Network) -> Source:
    try:
        parts = urlsplit(reference)
    except ValueError as error:
        raise UsageError(f"{reference}: no address: {error}") from error
    if not parts.hostname:
        raise UsageError(f"{reference}: no host")
    if parts.username or parts.password:
        raise UsageError("credentials do not belong into a URL: every log on the way has them")
    return HttpsSource(f"https://{parts.netloc}{parts.path}", below(reference), network)


KIND = SourceKind(("https",), _open_source)
