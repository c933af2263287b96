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
from pyhash.hashing import Options, hash_buffer
from pyhash.merkle import SPAN_BYTES, span_count

BATCH_SPANS = 32  # what one thread takes at once
READ_BYTES = SPAN_BYTES // 4  # stays in a core's cache between reading and hashing

Digests = Callable[[Iterator[memoryview]], bytes]


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
        """Return the number of the file, and the first and last byte + 1, of a span."""
        index = bisect_right(self._ends, span)
        start = (span - (self._ends[index - 1] if index else 0)) * SPAN_BYTES
        return index, start, min(start + SPAN_BYTES, self._listed[index].identity.size)


def sha256_node(pieces: Iterator[memoryview]) -> bytes:
    """Return the node of one span, as the tree file has it."""
    # Copied one by one: each lies in the same buffer as the one before.
    return hash_buffer(b"".join(map(bytes, pieces)), options=Options(threads=1)).root


def xxh3_128(pieces: Iterator[memoryview]) -> bytes:
    """Return XXH3-128 of one span: finds rot, not attackers.

    Raises:
        DependencyError: xxhash is not installed.
    """
    try:
        import xxhash
    except ImportError as error:
        raise errors.DependencyError("xxhash is not installed: pip install xxhash") from error
    hasher = xxhash.xxh3_128()
    for piece in pieces:
        hasher.update(piece)
    return bytes(hasher.digest())


def both(pieces: Iterator[memoryview]) -> bytes:
    """Return the node of one span and behind it XXH3-128, of the same bytes in memory."""
    data = memoryview(b"".join(map(bytes, pieces)))
    return sha256_node(iter([data])) + xxh3_128(iter([data]))


def sweep(
    listing: files.Listing,
    first: int,
    digest: Digests,
    *,
    threads: int,
    pause: Callable[[int], None],
    from_drive: bool,
) -> Iterator[Batch]:
    """Read every span from ``first`` on.

    Args:
        listing: The checkpoint.
        first: Number of the first span.
        digest: Of one span.
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
        return _read_batch(listing, start, places, digest, from_drive)

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
    digest: Digests,
    from_drive: bool,
) -> Batch:
    found: list[bytes | None] = []
    buffer = memoryview(bytearray(READ_BYTES))
    for index in sorted({index for index, _, _ in places}):
        own = [(begin, end) for one, begin, end in places if one == index]
        file = listing.files[index]
        with files.open_files(listing, (file,)) as (descriptor,):
            if from_drive:
                size = own[-1][1] - own[0][0]
                os.posix_fadvise(descriptor, own[0][0], size, os.POSIX_FADV_DONTNEED)
            found += [_digest(descriptor, begin, end, buffer, digest) for begin, end in own]
            files.check_unchanged(file, descriptor)
    return Batch(start, tuple(found), sum(end - begin for _, begin, end in places))


def _digest(
    descriptor: int, start: int, end: int, buffer: memoryview, digest: Digests
) -> bytes | None:
    def pieces() -> Iterator[memoryview]:
        at = start
        while at < end:
            count = os.preadv(descriptor, [buffer[: end - at]], at)
            if count == 0:
                raise OSError("ended early")
            yield buffer[:count]
            at += count

    try:
        return digest(pieces())
    except OSError:
        return None
