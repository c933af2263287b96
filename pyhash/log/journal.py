# SPDX-License-Identifier: Apache-2.0
"""The journal of a log: the entries that its tiles may not hold durably yet.

One ``fdatasync`` of the journal makes an append durable, and only then is a checkpoint signed:
whatever was signed can be made again from here, byte for byte, also when a power cut took the
checkpoint's file. Layout::

    magic ‖ u64 base ‖ root ‖ tag              base: entries that are durable in tiles
    u32 length ‖ u32 count ‖ root ‖ entries ‖ tag                              and so on

A root is that of the whole log behind what it stands in. A tag is HMAC-SHA256 over the tag before
it and everything between, under a key that only who holds the log's key can derive: nobody else
can add a record, change one, or leave one out but at the end. It is no signature: half a record
on the drive can never be a checkpoint that contradicts the one which is signed instead.

Entries stand as in an entry bundle. A record that was cut short by a crash has no right tag and
was never signed; it ends the journal, and so does what an older one left behind the last record.
Zeros stand there at first: writing over blocks that are there needs no metadata of the file
system on the drive, which ``fdatasync`` would wait for.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pyhash.errors import FormatError
from pyhash.log.note_keys import NoteSigner
from pyhash.log.tiles import TILE_WIDTH, pack_entries, unpack_entries
from pyhash.merkle import DIGEST_BYTES

MAGIC = b"pyhash-log-journal-v2\n\0\0"
PURPOSE = b"pyhash-log-journal-v2"  # of the key that is derived from the log's
_HEAD = struct.Struct(f">{len(MAGIC)}sQ{DIGEST_BYTES}s")
_RECORD = struct.Struct(f">II{DIGEST_BYTES}s")
_TAG_BYTES = 32
_ROOM_BYTES = 1 << 18  # 256 entries of a kilobyte


@dataclass(frozen=True, slots=True)
class Journal:
    """What a journal holds.

    Attributes:
        base: Entries before it, a multiple of 256.
        entries: Those that follow.
        root: Of the whole log: what is before it, and its entries.
        end: Bytes of the file that are whole records; what is behind them is nothing.
        tag: The last one.
    """

    base: int
    entries: tuple[bytes, ...]
    root: bytes
    end: int
    tag: bytes


def journal_key(signer: NoteSigner) -> bytes:
    """Return the key of the tags in the journal of that signer's log. Raises nothing."""
    return signer.derive_key(PURPOSE)


def dump_journal(
    key: bytes, base: int, root: bytes, entries: Sequence[bytes] = (), after: bytes = b""
) -> bytes:
    """Return a new journal with room for records. Pure.

    Args:
        key: ``journal_key``.
        base: Entries before it, a multiple of 256.
        root: Over them.
        entries: Those that follow; fewer than 256.
        after: Root of the whole log with them, if there are any.

    Raises:
        LimitError: An entry is too large.
    """
    head = _HEAD.pack(MAGIC, base, root)
    tag = _tag(key, b"", head)
    record = dump_record(key, tag, entries, after) if entries else b""
    return head + tag + record + bytes(_ROOM_BYTES)


def dump_record(key: bytes, tag: bytes, entries: Sequence[bytes], root: bytes) -> bytes:
    """Return one record. Pure.

    Args:
        key: ``journal_key``.
        tag: The last one in the journal.
        entries: At least one.
        root: Of the whole log with them.

    Raises:
        LimitError: An entry is too large.
    """
    body = pack_entries(entries)
    record = _RECORD.pack(len(body), len(entries), root) + body
    return record + _tag(key, tag, record)


def load_journal(data: bytes, key: bytes, path: str) -> Journal:
    """Read a journal up to its last whole record. Pure, thread-safe.

    Args:
        data: The whole file.
        key: ``journal_key``.
        path: Where it came from, for messages.

    Raises:
        FormatError: Not a journal, or not that of the log with this key.
    """
    at = _HEAD.size + _TAG_BYTES
    head, tag = data[: _HEAD.size], data[_HEAD.size : at]
    if not head.startswith(MAGIC) or not hmac.compare_digest(tag, _tag(key, b"", head)):
        raise FormatError(f"{path}: not the journal of this log, or damaged", path, 0)
    _, base, root = _HEAD.unpack(head)
    if base % TILE_WIDTH:
        raise FormatError(f"{path}: its tiles end within a tile", path, len(MAGIC))
    entries: list[bytes] = []
    while at + _RECORD.size <= len(data):
        length, count, after = _RECORD.unpack_from(data, at)
        end = at + _RECORD.size + length
        record, found = data[at:end], data[end : end + _TAG_BYTES]
        if not hmac.compare_digest(found, _tag(key, tag, record)):
            break
        entries += unpack_entries(record[_RECORD.size :], count, path)
        root, tag, at = after, found, end + _TAG_BYTES
    return Journal(base, tuple(entries), root, at, tag)


def _tag(key: bytes, before: bytes, data: bytes) -> bytes:
    return hmac.digest(key, before + data, "sha256")
