# SPDX-License-Identifier: Apache-2.0
"""What a source of a release must be able to do, and what all sources are told.

A source moves bytes and believes nothing: whatever it gives is compared with what is signed by
whoever asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from pyhash.errors import FetchError
from pyhash.merkle import SPAN_BYTES


@dataclass(frozen=True, slots=True)
class Network:
    """How to reach sources; never what is accepted from them.

    Attributes:
        ca_file: PEM file of authorities to trust instead of the system's; None: the system's.
        proxy: URL of the proxy to go through; None: none.
        timeout_seconds: Longest wait for a connection, or for the next bytes of an answer.
        span_seconds: Longest time that one span may take, however steadily it drips.
        attempts: How often a source is asked for the same bytes before it counts as failing.
        credentials: For sources that need them: names and values, as the source's file says.
    """

    ca_file: str | None = None
    proxy: str | None = None
    timeout_seconds: float = 30.0
    span_seconds: float = 60.0
    attempts: int = 4
    credentials: tuple[tuple[str, str], ...] = ()

    @property
    def account(self) -> str | None:
        """The name of the credential, which is no secret; None: there is none. Raises nothing."""
        return dict(self.credentials).get("access_key_id")


class Source(Protocol):
    """One place that a release can be fetched from. Safe to call from any thread."""

    @property
    def name(self) -> str:
        """What it is called in messages, without credentials. Raises nothing."""

    def fetch_small(self, path: str, limit: int) -> bytes:
        """Fetch a small object whole.

        Args:
            path: Below the release, ``/``-separated.
            limit: Most bytes to take.

        Raises:
            NotThereError: There is no such object.
            LimitError: It has more than ``limit`` bytes.
            FetchError: It cannot be had.
        """

    def fetch_spans(self, path: str, start: int, end: int, size: int) -> Iterator[bytes]:
        """Fetch a range of an object, span by span.

        Args:
            path: Below the release, ``/``-separated.
            start: First byte; a multiple of 1 MiB.
            end: One past the last byte: a multiple of 1 MiB, or ``size``.
            size: The signed size of the object.

        Yields:
            1 MiB at a time, the last one shorter where the range is.

        Raises:
            NotThereError: There is no such object.
            FetchError: It cannot be had, or is not of that size.
        """

    def size_of(self, path: str) -> int:
        """Return the size in bytes that the source says an object has.

        Raises:
            NotThereError: There is no such object.
            FetchError: It cannot be found out.
        """

    def close(self) -> None:
        """Let go of connections. Raises nothing."""


@dataclass(frozen=True, slots=True)
class SourceKind:
    """One line of the table in ``pyhash.fetch``.

    Attributes:
        schemes: What stands before ``://`` in its references; "" for a path.
        open_source: (reference, network) -> source; raises UsageError or FetchError.
    """

    schemes: tuple[str, ...]
    open_source: Callable[[str, Network], Source]


def cut_spans(
    pieces: Iterator[bytes], start: int, end: int, what: str, source: str
) -> Iterator[bytes]:
    """Yield a stream of pieces of any length as spans: whole ones, and none beyond the end.

    Args:
        pieces: The bytes of [start, end).
        start: First byte, a multiple of 1 MiB.
        end: One past the last byte.
        what: The object, for messages.
        source: The source, for messages.

    Raises:
        FetchError: There are fewer or more bytes; of a stream without end, the first byte too many
            is the last that is read.
    """
    kept = bytearray()
    done = start
    for piece in pieces:
        if len(piece) > end - done - len(kept):
            raise FetchError(
                f"{source}: {what}: more than {end - start} bytes from byte {start}", what, source
            )
        if not kept and len(piece) == min(SPAN_BYTES, end - done):
            done += len(piece)
            yield piece
            continue
        kept += piece
        while len(kept) >= min(SPAN_BYTES, end - done) > 0:
            span = bytes(kept[:SPAN_BYTES])
            del kept[:SPAN_BYTES]
            done += len(span)
            yield span
    if done != end:
        raise FetchError(
            f"{source}: {what}: {done + len(kept) - start} bytes instead of {end - start} from"
            f" byte {start}",
            what,
            source,
        )
