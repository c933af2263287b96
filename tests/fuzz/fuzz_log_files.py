# SPDX-License-Identifier: Apache-2.0
"""Fuzz target: journals, entry bundles and access events of logs."""

from __future__ import annotations

from _harness import main

from pyhash.log.events import AccessEvent, dump_event, load_event
from pyhash.log.journal import MAGIC, dump_journal, dump_record, load_journal
from pyhash.log.tiles import pack_entries, unpack_entries

_KEY, _ROOT_BYTES = bytes(32), bytes(range(32))
_RECORD = dump_record(_KEY, bytes(32), [b"a"], _ROOT_BYTES)

DICTIONARY = (
    MAGIC, b"\0\0", b"\0\1", b"\xff\xff", b"\0\0\0\0\0\0\0\0", _RECORD,
    b'"kind":"pyhash-access-v1"', b'"ranges":[["a",0,1]]', b'{"count":1,"sha256":""}', b"null",
)  # fmt: skip

_ROOT = f"pyhash-v1:{'ab' * 32}"
_EVENT = AccessEvent(
    "load", "done", "2026-11-25T02:30:00Z", "u", 1, "h", None, _ROOT, "/m", ("a",), (("a", 0, 9),)
)


def seeds() -> list[bytes]:
    """One of each."""
    whole = dump_journal(_KEY, 256, _ROOT_BYTES, [b"one", b"", b"three"], _ROOT_BYTES)
    journal = load_journal(whole, _KEY, "seed")
    bare = whole[: journal.end]
    more = bare + dump_record(_KEY, journal.tag, [b"more"], _ROOT_BYTES)
    return [bare, more, pack_entries([b"x"] * 3), dump_event(_EVENT)]


def one_input(data: bytes) -> None:
    """Read with every reader; what is accepted must be written again as it was."""
    if data.startswith(MAGIC[:4]):
        journal = load_journal(data, _KEY, "fuzz")
        root = data[len(MAGIC) + 8 :][:32]
        made = dump_journal(_KEY, journal.base, root, journal.entries, journal.root)
        again = load_journal(made, _KEY, "fuzz")
        if again.entries != journal.entries or journal.end > len(data):
            raise AssertionError(f"a journal became another: {journal!r}")
        return
    event = load_event(data, "fuzz")
    if event is not None:
        # Lists that stand as a count and a digest are the one thing that is not kept.
        is_short = b'"count":' not in data
        if is_short and dump_event(event) != data:
            raise AssertionError(f"an event with two spellings: {event!r}")
        return
    entries = unpack_entries(data, 3, "fuzz")
    if not data.startswith(pack_entries(entries)):
        raise AssertionError("a bundle with two spellings")


if __name__ == "__main__":
    main(one_input, seeds())
