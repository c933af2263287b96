# SPDX-License-Identifier: Apache-2.0
"""Moving spans: many requests at once, every span compared before it is written, a bad one fetched
again from elsewhere. Decides nothing about which spans are wanted.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from pyhash.errors import (
    CancelledError,
    DamagedRange,
    DigestMismatchError,
    FetchError,
    Finding,
)
from pyhash.fetch import Network
from pyhash.hashing import Options, hash_buffer
from pyhash.merkle import DIGEST_BYTES, SPAN_BYTES
from pyhash.pull.finding import Place

REQUEST_SPANS = 32  # most spans of one request: enough to make its latency small
BACKOFF_SECONDS = 0.2
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Wanted:
    """Consecutive spans of one shard that are to be fetched.

    Attributes:
        path: The shard.
        size: Its signed size.
        start, end: Bytes, whole spans; ``end`` may be the size.
        nodes: The signed span nodes of the whole shard; None where there are none to compare with.
    """

    path: str
    size: int
    start: int
    end: int
    nodes: memoryview | None


@dataclass(frozen=True, slots=True)
class BadSpan:
    """A span that a source gave with other bytes than the signed ones.

    Attributes:
        source: Which source.
        path: Which shard.
        start, end: Which bytes.
    """

    source: str
    path: str
    start: int
    end: int


class Destination(Protocol):
    """Where spans are written to, by any thread."""

    def writing(self, name: str) -> AbstractContextManager[int]:
        """Open a shard for writing; yields its descriptor.

        Raises:
            WriteError: The system would not.
        """


class Throttle:
    """Keeps the bytes of all threads below a rate. Thread-safe."""

    def __init__(self, bytes_per_second: int | None) -> None:
        """Begin at the full rate.

        Args:
            bytes_per_second: The rate; None: no limit.
        """
        self.rate = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def pause(self, count: int) -> None:
        """Wait until that many more bytes may be taken. Raises nothing."""
        if self.rate is None:
            return
        with self._lock:
            now = max(self._free_at, time.monotonic())
            self._free_at = now + count / self.rate
        time.sleep(max(0.0, now - time.monotonic()))


class Transfer:
    """One pull's movement of bytes."""

    def __init__(
        self,
        places: Sequence[Place],
        destination: Destination,
        network: Network,
        throttle: Throttle,
        *,
        connections: int,
        taken: Callable[[str, str, int, int], None] | None = None,
        settle: Callable[[str], None] | None = None,
    ) -> None:
        """Make ready.

        Args:
            places: Where the release can be had; the first is preferred.
            destination: Where it goes.
            network: How often to try.
            throttle: How fast at most.
            connections: How many requests at once.
            taken: Told of each span that was written: source, path, start, end; by any thread.
            settle: Makes a shard durable; called by any thread after each full request, so that the
                drive works while others still fetch. Raises WriteError.
        """
        self.places = places
        self.bad: list[BadSpan] = []
        self.bytes_moved = 0
        self._destination = destination
        self._taken = taken
        self._settle = settle
        self._network = network
        self._throttle = throttle
        self._connections = connections
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def fetch(self, wanted: Sequence[Wanted], report: Callable[[int], None] | None = None) -> None:
        """Fetch, compare and write all that is wanted; on failure what was written stays.

        Args:
            wanted: What is missing.
            report: Told the bytes moved so far, about ten times a second.

        Raises:
            DigestMismatchError: A span is bad in every place; findings say which, and in which.
            NotThereError, FetchError: A shard can be had nowhere.
            WriteError: It cannot be written.
            KeyboardInterrupt: Ctrl-C; nothing is left running.
        """
        jobs = list(itertools.chain.from_iterable(map(_cut, wanted)))
        pool = ThreadPoolExecutor(self._connections, "pyhash-pull")
        try:
            futures = [pool.submit(self._fetch_job, job) for job in jobs]
            self._wait(futures, report)
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)
            self._stop.clear()

    def _wait(self, futures: list[Future[None]], report: Callable[[int], None] | None) -> None:
        pending = set(futures)
        while pending:
            done, pending = wait(pending, POLL_SECONDS, FIRST_EXCEPTION)
            if report:
                report(self.bytes_moved)
            for future in done:
                future.result()

    def _fetch_job(self, job: Wanted) -> None:
        bad = self._fetch_run(job)
        for start in bad:
            self._fetch_again(job, start)
        if self._settle and job.end - job.start == REQUEST_SPANS * SPAN_BYTES:
            self._settle(job.path)

    def _fetch_run(self, job: Wanted) -> list[int]:
        """Fetch a run from the first place that gives it; returns where the bad spans begin.

        A place that fails is asked again after the others; what counts is how often nothing came.
        """
        bad: list[int] = []
        at, failures = job.start, 0
        while True:
            place = self.places[failures % len(self.places)]
            before = at
            try:
                for data in self._spans(place, job, at, job.end):
                    if not self._take(place, job, at, data):
                        bad.append(at)
                    at += len(data)
                return bad
            except FetchError:
                failures = 1 if at > before else failures + 1
                if failures >= self._network.attempts * len(self.places):
                    raise
                rounds = failures // len(self.places)
                self._stop.wait(BACKOFF_SECONDS * 2**rounds if rounds else 0)

    def _fetch_again(self, job: Wanted, start: int) -> None:
        """Fetch one bad span from each other place, and at last from the same one again."""
        end = min(start + SPAN_BYTES, job.end)
        errors: list[FetchError] = []
        for place in (*self.places[1:], self.places[0]):
            try:
                for data in self._spans(place, job, start, end):
                    if self._take(place, job, start, data):
                        return
            except FetchError as error:
                errors.append(error)
        if errors and len(errors) == len(self.places):
            raise errors[-1]
        self._refuse(job, start, end)

    def _refuse(self, job: Wanted, start: int, end: int) -> None:
        with self._lock:
            names = sorted(
                {one.source for one in self.bad if (one.path, one.start) == (job.path, start)}
            )
        message = f"other bytes than the signed ones in [{start}, {end}) from {', '.join(names)}"
        finding = Finding("digest", job.path, message, ranges=(DamagedRange(start, end),))
        raise DigestMismatchError(f"{job.path}: {message}", (finding,))

    def _spans(self, place: Place, job: Wanted, start: int, end: int) -> Iterator[bytes]:
        for data in place.source.fetch_spans(place.prefix + job.path, start, end, job.size):
            if self._stop.is_set():
                raise CancelledError(f"{job.path}: stopped", job.path)
            self._throttle.pause(len(data))
            with self._lock:
                self.bytes_moved += len(data)
            yield data

    def _take(self, place: Place, job: Wanted, start: int, data: bytes) -> bool:
        """Compare a span and write it if it is good."""
        if job.nodes is not None:
            at = start // SPAN_BYTES * DIGEST_BYTES
            if (
                hash_buffer(data, options=Options(threads=1)).root
                != job.nodes[at : at + DIGEST_BYTES]
            ):
                with self._lock:
                    self.bad.append(BadSpan(place.name, job.path, start, start + len(data)))
                return False
        with self._destination.writing(job.path) as descriptor:
            view, at = memoryview(data), start
            while view:
                count = os.pwrite(descriptor, view, at)
                view, at = view[count:], at + count
        if self._taken:
            self._taken(place.name, job.path, start, at)
        return True


def _cut(wanted: Wanted) -> Iterator[Wanted]:
    """Cut a run into what one request asks for."""
    step = REQUEST_SPANS * SPAN_BYTES
    for start in range(wanted.start, wanted.end, step):
        end = min(start + step, wanted.end)
        yield Wanted(wanted.path, wanted.size, start, end, wanted.nodes)
