# SPDX-License-Identifier: Apache-2.0
"""Reads consecutive spans of a checkpoint in a few threads, and gives their digests in order.

A span that cannot be read has no digest. Compares nothing.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate

from pyhash import errors, files
from pyhash.hashing import Options
from pyhash.merkle import SPAN_BYTES, span_count
from pyhash.pull.transfer import Throttle
from pyhash.scrub.span_digests import Piece, SpanDigests

BATCH_SPANS = 64  # what one thread takes at once, at most
RATE_OF_A_THREAD = 512 << 20  # what one thread surely reads and hashes, bytes per second


@dataclass(frozen=True, slots=True)
class Batch:
    """Some consecutive spans after they were read.

    Attributes:
        start: Number of the first span, counted over all shards.
        digests: One for each; None: it could not be read.
        size: Bytes that were read.
    """

    start: int
    digests: tuple[bytes | None, ...]
    size: int


class Spans:
    """The spans of a listing, counted over all its files."""

    def __init__(self, listed: Sequence[files.CheckpointFile]) -> None:
        """Count them."""
        self._listed = listed
        self._ends = list(accumulate(span_count(one.identity.size) for one in listed))
        self.total = self._ends[-1] if self._ends else 0

    def place(self, span: int) -> tuple[int, int, int]:
        """Return the number of the file, and the first and last byte + 1, of a span.

        Raises:
            IndexError: There are not that many spans.
        """
        index = bisect_right(self._ends, span)
        start = (span - (self._ends[index - 1] if index else 0)) * SPAN_BYTES
        return index, start, min(start + SPAN_BYTES, self._listed[index].identity.size)


def sweep(
    listing: files.Listing,
    first: int,
    digest: SpanDigests,
    *,
    hashing: Options,
    throttle: Throttle,
    from_drive: bool,
) -> Iterator[Batch]:
    """Read every span from ``first`` on.

    Args:
        listing: The checkpoint.
        first: Number of the first span.
        digest: Of consecutive spans.
        hashing: How, and on how many threads; a low rate needs fewer.
        throttle: How fast at most. It is asked before anything is read.
        from_drive: Have the system forget what it holds in memory, so that the drive is read.

    Yields:
        Batches, in order.

    Raises:
        ChangedWhileReadError: A file changed.
        ReadError: A file cannot be opened.
    """
    spans = Spans(listing.files)
    threads, most = hashing.thread_count(), BATCH_SPANS
    if throttle.rate is not None:
        # What is under way when somebody stops is read in vain: about a second's worth.
        threads = min(threads, 1 + throttle.rate // RATE_OF_A_THREAD)
        most = max(1, min(most, throttle.rate // threads // SPAN_BYTES))
    reader = _Reader(
        listing,
        digest,
        hashing=hashing,
        throttle=throttle,
        others=threads - 1,
        from_drive=from_drive,
    )
    pool = ThreadPoolExecutor(threads, "pyhash-scrub")
    waiting: deque[Future[Batch]] = deque()
    try:
        for start in range(first, spans.total, most):
            numbers = range(start, min(start + most, spans.total))
            places = [spans.place(number) for number in numbers]
            waiting.append(pool.submit(reader.read, start, places))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _once(note: Callable[[str], None]) -> Callable[[str], None]:
    """Say a sentence for the first batch that it is true of, not for each."""
    said: set[str] = set()

    def say(text: str) -> None:
        if text not in said:
            said.add(text)
            note(text)

    return say


class _Reader:
    """Reads batches. Safe to call from any thread."""

    def __init__(
        self,
        listing: files.Listing,
        digest: SpanDigests,
        *,
        hashing: Options,
        throttle: Throttle,
        others: int,
        from_drive: bool,
    ) -> None:
        reader = "direct" if from_drive and hashing.reader == "auto" else hashing.reader
        note = None if hashing.note is None else _once(hashing.note)
        self._hashing = replace(hashing, reader=reader, note=note)
        self._listing, self._digest, self._throttle = listing, digest, throttle
        self._others, self._from_drive = others, from_drive

    def read(self, start: int, places: Sequence[tuple[int, int, int]]) -> Batch:
        """Return the digests of consecutive spans."""
        size = sum(end - begin for _, begin, end in places)
        self._throttle.pause(size)
        found: list[bytes | None] = []
        for index in sorted({index for index, _, _ in places}):
            own = [(begin, end) for one, begin, end in places if one == index]
            file = self._listing.files[index]
            with files.open_files(self._listing, (file,)) as (descriptor,):
                begin, end = own[0][0], own[-1][1]
                piece = Piece(file.path, descriptor, begin, end, self._others, self._hashing)
                if self._from_drive:
                    os.posix_fadvise(descriptor, begin, end - begin, os.POSIX_FADV_DONTNEED)
                found += self._digests(piece)
                files.check_unchanged(file, descriptor)
        return Batch(start, tuple(found), size)

    def _digests(self, piece: Piece) -> Sequence[bytes | None]:
        try:
            return self._digest(piece)
        except errors.ReadError:
            count = span_count(piece.end - piece.start)
            if count == 1:
                return [None]
        # Rare: half by half, to find out which can be read.
        found: list[bytes | None] = []
        for half in piece.cut(-(-count // 2) * SPAN_BYTES):
            self._throttle.pause(half.end - half.start)
            found += self._digests(half)
        return found
