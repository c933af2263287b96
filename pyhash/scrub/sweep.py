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
from dataclasses import dataclass
from itertools import accumulate

from pyhash import errors, files
from pyhash.merkle import SPAN_BYTES, span_count
from pyhash.scrub.span_digests import Piece, SpanDigests

BATCH_SPANS = 64  # what one thread takes at once


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
    threads: int,
    pause: Callable[[int], None],
    from_drive: bool,
) -> Iterator[Batch]:
    """Read every span from ``first`` on.

    Args:
        listing: The checkpoint.
        first: Number of the first span.
        digest: Of consecutive spans.
        threads: How many read at once.
        pause: Waits until so many more bytes may be read.
        from_drive: Have the system forget what it holds in memory, so that the drive is read.

    Yields:
        Batches, in order.

    Raises:
        ChangedWhileReadError: A file changed.
        ReadError: A file cannot be opened.
    """
    spans = Spans(listing.files)

    def read(start: int) -> Batch:
        numbers = range(start, min(start + BATCH_SPANS, spans.total))
        places = [spans.place(number) for number in numbers]
        pause(sum(end - begin for _, begin, end in places))
        return _read_batch(listing, start, places, digest, from_drive=from_drive, threads=threads)

    pool = ThreadPoolExecutor(threads, "pyhash-scrub")
    waiting: deque[Future[Batch]] = deque()
    try:
        for start in range(first, spans.total, BATCH_SPANS):
            waiting.append(pool.submit(read, start))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _read_batch(
    listing: files.Listing,
    start: int,
    places: Sequence[tuple[int, int, int]],
    digest: SpanDigests,
    *,
    from_drive: bool,
    threads: int,
) -> Batch:
    found: list[bytes | None] = []
    reader = "direct" if from_drive else "auto"
    for index in sorted({index for index, _, _ in places}):
        own = [(begin, end) for one, begin, end in places if one == index]
        file = listing.files[index]
        with files.open_files(listing, (file,)) as (descriptor,):
            piece = Piece(file.path, descriptor, own[0][0], own[-1][1], reader, threads)
            if from_drive:
                size = piece.end - piece.start
                os.posix_fadvise(descriptor, piece.start, size, os.POSIX_FADV_DONTNEED)
            found += _digests(piece, digest)
            files.check_unchanged(file, descriptor)
    return Batch(start, tuple(found), sum(end - begin for _, begin, end in places))


def _digests(piece: Piece, digest: SpanDigests) -> Sequence[bytes | None]:
    try:
        return digest(piece)
    except errors.ReadError:
        spans = piece.cut(SPAN_BYTES)
        if len(spans) == 1:
            return [None]
        # Rare: span by span, to find out which can be read.
        return [one for span in spans for one in _digests(span, digest)]
