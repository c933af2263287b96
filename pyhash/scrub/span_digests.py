# SPDX-License-Identifier: Apache-2.0
"""What a scrub computes of consecutive spans of an open file. Compares nothing."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass, replace

from pyhash import errors
from pyhash._native import DIGEST_BYTES, Range, hash_ranges
from pyhash._native._pieces import XXH3_BYTES, xxh3_spans
from pyhash.hashing import Options
from pyhash.merkle import SPAN_BYTES

IN_MEMORY_BYTES = 4 * SPAN_BYTES  # held at once where two digests are wanted of the same bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive spans of one open file.

    Attributes:
        path: For messages.
        descriptor: Open for reading.
        start, end: Bytes; both are multiples of a span, or ``end`` is the file's.
        others: How many other threads do the same meanwhile.
        hashing: How to read and hash; of it, threads and progress play no part.
    """

    path: str
    descriptor: int
    start: int
    end: int
    others: int
    hashing: Options

    def cut(self, size: int) -> list[Piece]:
        """Return the piece in pieces of so many bytes, a multiple of a span. Raises nothing."""
        return [
            replace(self, start=start, end=min(start + size, self.end))
            for start in range(self.start, self.end, size)
        ]

    def range(self, into: memoryview | None = None) -> Range:
        """Return it as the engine wants it. Raises nothing."""
        return Range(self.path, self.descriptor, self.start, self.end, into)


# One digest for each span. All of them raise ReadError (of which TruncatedError is one) where
# any of the spans cannot be had; EngineError where there is no memory.
SpanDigests = Callable[[Piece], list[bytes]]


def sha256_nodes(piece: Piece) -> list[bytes]:
    """Return the node of each span, as the tree file has it.

    Raises:
        ReadError: A span cannot be read.
    """
    return _cut(_nodes(piece), DIGEST_BYTES)


def xxh3_128(piece: Piece) -> list[bytes]:
    """Return XXH3-128 of each span, where it lies in the page cache: finds rot, not attackers.

    Raises:
        ReadError: A span cannot be read.
        DependencyError: The file does not end with a whole span, and xxhash is not installed.
    """
    whole = replace(piece, end=piece.end // SPAN_BYTES * SPAN_BYTES)
    found: list[bytes] = []
    if whole.start < whole.end:
        digests = xxh3_spans(whole.range(), reader=piece.hashing.reader, others=piece.others)
        found += _cut(digests, XXH3_BYTES)
    if whole.end < piece.end:
        found += [one[DIGEST_BYTES:] for one in both(replace(piece, start=whole.end))]
    return found


def both(piece: Piece) -> list[bytes]:
    """Return the node of each span and behind it XXH3-128, of the same bytes in memory.

    Raises:
        ReadError: A span cannot be read.
        DependencyError: xxhash is not installed.
    """
    try:
        from xxhash import xxh3_128_digest
    except ImportError as error:
        raise errors.DependencyError("xxhash is not installed: pip install xxhash") from error
    digests: list[bytes] = []
    for part in piece.cut(IN_MEMORY_BYTES):
        # A mapping begins with a page, which reads past the page cache need.
        data = memoryview(mmap.mmap(-1, part.end - part.start))
        nodes = _cut(_nodes(part, data), DIGEST_BYTES)
        starts = range(0, len(data), SPAN_BYTES)
        digests += [
            node + xxh3_128_digest(data[start : start + SPAN_BYTES])
            for node, start in zip(nodes, starts, strict=True)
        ]
    return digests


def _nodes(piece: Piece, into: memoryview | None = None) -> bytes:
    how = piece.hashing
    (found,) = hash_ranges(
        [piece.range(into)],
        others=piece.others,
        reader=how.reader,
        kernel=how.kernel,
        note=how.note,
    )
    return found.span_nodes


def _cut(digests: bytes, size: int) -> list[bytes]:
    return [digests[at : at + size] for at in range(0, len(digests), size)]
