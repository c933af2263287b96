# SPDX-License-Identifier: Apache-2.0
"""Digests of a piece of one open file; one thread, the interpreter lock is free meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyhash import errors
from pyhash._native import DIGEST_BYTES, READERS, SPAN_BYTES, Range
from pyhash._native._engine import ffi, lib
from pyhash._native._statuses import raise_status

BLOCK_BYTES = 4096  # fs-verity's
XXH3_BYTES = 16


def hash_verity_blocks(
    piece: Range, *, reader: str = "auto", kernel: str | None = None, others: int = 0
) -> bytes:
    """Return the SHA-256 of each block of 4096 bytes, the last one of a file filled up with zeros.

    Args:
        piece: Of an open file; it starts on a multiple of 1 MiB, and ends on one or with the file.
        reader: ``auto``, ``mmap``, ``buffered`` or ``direct``.
        kernel: Name, or None for the engine's preference.
        others: How many other threads do the same meanwhile; they share the memory for reading.

    Returns:
        32 bytes for each block.

    Raises:
        ReadError: The system refused a read, or the descriptor is no regular file.
        TruncatedError: The file ended before the piece did.
        EngineError: Out of memory, or no such kernel.
        UsageError: No such reader, or a piece that makes no sense.
    """
    name = ffi.NULL if kernel is None else ffi.new("char[]", kernel.encode("utf-8"))
    count = -(-(piece.end - piece.start) // BLOCK_BYTES)
    call = lib.pyhash_hash_verity_blocks
    size = DIGEST_BYTES * count
    return _digests(call, piece, size, reader=reader, others=others, kernel=name)


def xxh3_spans(piece: Range, *, reader: str = "auto", others: int = 0) -> bytes:
    """Return XXH3-128 of each span of 1 MiB: finds rot, not attackers.

    Args:
        piece: Of an open file; it starts and ends on a multiple of 1 MiB.
        reader, others: As for ``hash_verity_blocks``.

    Returns:
        16 bytes for each span, in the canonical order of xxHash's specification.

    Raises:
        ReadError, TruncatedError, EngineError, UsageError: As ``hash_verity_blocks``.
    """
    if piece.end % SPAN_BYTES:
        raise errors.UsageError(f"{piece.end} is not the end of a whole span")
    count = (piece.end - piece.start) // SPAN_BYTES
    size, call = XXH3_BYTES * count, lib.pyhash_xxh3_spans
    return _digests(call, piece, size, reader=reader, others=others, kernel=ffi.NULL)


def _digests(
    call: Callable[..., int], piece: Range, size: int, *, reader: str, others: int, kernel: Any
) -> bytes:
    if reader not in READERS:
        raise errors.UsageError(f"no reader {reader!r}; there are {', '.join(READERS)}")
    if piece.start % SPAN_BYTES or not 0 <= piece.start <= piece.end < 1 << 63:
        raise errors.UsageError(f"[{piece.start}, {piece.end}) is no piece of a file")
    digests = bytearray(size)
    range_ = ffi.new("struct pyhash_range *")
    range_.fd, range_.start, range_.end = piece.source, piece.start, piece.end
    options = ffi.new("struct pyhash_options *")
    options.kernel, options.reader, options.others = kernel, READERS[reader], others
    error = ffi.new("struct pyhash_error *")
    out = ffi.from_buffer("uint8_t[]", digests, require_writable=True)
    status = call(range_, options, out, error)
    if status != lib.PYHASH_OK:
        raise_status(status, error, [piece])
    return bytes(digests)
