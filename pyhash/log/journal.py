# SPDX-License-Identifier: Apache-2.0
"""The journal of a log: the entries that its tiles may not hold durably yet.

One ``fdatasync`` of the journal makes an append durable, and only then is a checkpoint signed:
whatever was signed can be made again from here, byte for byte. Layout::

    magic ‖ u64 base ‖ SHA-256 of both        base: entries that are durable in tiles
    u32 length ‖ u32 count ‖ entries ‖ SHA-256(u64 start ‖ all before)         and so on

Entries stand as in an entry bundle. A record that was cut short by a crash has no right digest and
was never signed; it ends the journal. Zeros stand behind the last record: writing over blocks that
are there needs no metadata of the file system on the drive, which ``fdatasync`` would wait for.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pyhash.errors import FormatError
from pyhash.log.tiles import TILE_WIDTH, pack_entries, unpack_entries

MAGIC = b"pyhash-log-journal-v1\n\0\0"
_BASE = struct.Struct(">Q")
_RECORD = struct.Struct(">II")
_DIGEST_BYTES = 32
_ROOM_BYTES = 1 << 18  # 256 entries of a kilobyte
_HEADER_BYTES = len(MAGIC) + _BASE.size + _DIGEST_BYTES


@dataclass(frozen=True, slots=True)
class Journal:
    """What a journal holds.

    Attributes:
        base: Entries before it, a multiple of 256.
        entries: Those that follow.
        end: Bytes of the file that are whole records; what is behind them is nothing.
        rest: Bytes behind the end up to the last one that is not zero: left by a crash.
    """

    base: int
    entries: tuple[bytes, ...]
    end: int
    rest: int


def dump_journal(base: int, entries: Sequence[bytes]) -> bytes:
    """Return a new journal with room for records.

    Args:
        base: Entries before it, a multiple of 256.
        entries: Those that follow; fewer than 256.

    Raises:
        LimitError: An entry is too large.
    """
    head = MAGIC + _BASE.pack(base)
    record = dump_record(base, entries) if entries else b""
    return head + hashlib.sha256(head).digest() + record + bytes(_ROOM_BYTES)


def dump_record(start: int, entries: Sequence[bytes]) -> bytes:
    """Return one record.

    Args:
        start: Number of its first entry in the log.
        entries: At least one.

    Raises:
        LimitError: An entry is too large.
    """
    body = pack_entries(entries)
    record = _RECORD.pack(len(body), len(entries)) + body
    return record + _record_digest(start, record)


def load_journal(data: bytes, path: str) -> Journal:
    """Read a journal up to its last whole record. Pure, thread-safe.

    Args:
        data: The whole file.
        path: Where it came from, for messages.

    Raises:
        FormatError: Not a journal.
    """
    head = data[: len(MAGIC) + _BASE.size]
    is_whole = len(data) >= _HEADER_BYTES and head.startswith(MAGIC)
    if not is_whole or hashlib.sha256(head).digest() != data[len(head) : _HEADER_BYTES]:
        raise FormatError(f"{path}: not the journal of a log, or damaged", path, 0)
    (base,) = _BASE.unpack(head[len(MAGIC) :])
    if base % TILE_WIDTH:
        raise FormatError(f"{path}: its tiles end within a tile", path, len(MAGIC))
    entries: list[bytes] = []
    at = _HEADER_BYTES
    while at + _RECORD.size <= len(data):
        length, count = _RECORD.unpack_from(data, at)
        end = at + _RECORD.size + length
        record, digest = data[at:end], data[end : end + _DIGEST_BYTES]
        if digest != _record_digest(base + len(entries), record):
            break
        entries += unpack_entries(record[_RECORD.size :], count, path)
        at = end + _DIGEST_BYTES
    return Journal(base, tuple(entries), at, len(data[at:].rstrip(b"\0")))


def _record_digest(start: int, record: bytes) -> bytes:
    return hashlib.sha256(_BASE.pack(start) + record).digest()
