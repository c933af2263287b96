# SPDX-License-Identifier: Apache-2.0
"""The journal of a log: sealed with a key that follows from the log's, record by record."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from pyhash.errors import FormatError, LimitError, LogError
from pyhash.log import journal, writer
from pyhash.log.note_keys import LOG, WITNESS, NoteSigner, generate_note_key
from pyhash.signing import ed25519
from tests.support import logs
from tests.support.logs import TestLog, make_log

KEY = bytes(range(32))
OLD = tuple(b"entry %d" % number for number in range(5))


def tag(key: bytes, *parts: bytes) -> bytes:
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def head(base: int, root: bytes, key: bytes = KEY) -> bytes:
    """The beginning of a journal, as its description has it."""
    start = b"pyhash-log-journal-v2\n\0\0" + base.to_bytes(8, "big") + root
    return start + tag(key, start)


def record(before: bytes, entries: list[bytes], root: bytes, key: bytes = KEY) -> bytes:
    """One record behind ``before``, as the description has it."""
    body = b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)
    data = len(body).to_bytes(4, "big") + len(entries).to_bytes(4, "big") + root + body
    return data + tag(key, before[-32:], data)


def key_of(signer: NoteSigner, seed: bytes) -> bytes:
    return tag(seed, b"pyhash-log-journal-v2\0", signer.verifier.name.encode())


ROOTS = [bytes([number]) * 32 for number in range(4)]
HEAD = head(512, ROOTS[0])
FIRST = record(HEAD, [b"a", b""], ROOTS[1])
SECOND = record(FIRST, [b"b" * 300], ROOTS[2])


def test_a_journal_is_what_its_description_says() -> None:
    data = HEAD + FIRST + SECOND
    read = journal.load_journal(data + bytes(50), KEY, "j")
    assert (read.base, read.entries) == (512, (b"a", b"", b"b" * 300))
    assert (read.end, read.root, read.tag) == (len(data), ROOTS[2], data[-32:])
    assert journal.dump_journal(KEY, 512, ROOTS[0]).rstrip(b"\0") == HEAD.rstrip(b"\0")
    made = journal.dump_journal(KEY, 512, ROOTS[0], [b"a", b""], ROOTS[1])
    assert made == HEAD + FIRST + bytes(len(made) - len(HEAD + FIRST))
    assert journal.dump_record(KEY, FIRST[-32:], [b"b" * 300], ROOTS[2]) == SECOND
    empty = journal.load_journal(HEAD, KEY, "j")
    assert (empty.entries, empty.root, empty.end) == ((), ROOTS[0], len(HEAD))
    with pytest.raises(LimitError):
        journal.dump_record(KEY, bytes(32), [bytes(1 << 16)], ROOTS[0])


def test_its_key_follows_from_the_logs_and_its_name() -> None:
    seed = bytes(range(1, 33))
    public = ed25519.public_key(seed)
    one, other = (
        NoteSigner(generate_note_key(name, LOG).verifier, seed) for name in ("one.example", "other")
    )
    assert journal.journal_key(one) == key_of(one, seed)
    assert journal.journal_key(one) != journal.journal_key(other)
    assert public not in journal.journal_key(one)
    witness = generate_note_key("one.example", WITNESS)
    assert journal.journal_key(witness) != journal.journal_key(one)


@pytest.mark.parametrize("cut", [*range(0, len(SECOND), 7), len(SECOND) - 1])
def test_a_torn_record_ends_the_journal(cut: int) -> None:
    for rest in (b"", bytes(len(SECOND) - cut), bytes(1000)):
        read = journal.load_journal(HEAD + FIRST + SECOND[:cut] + rest, KEY, "j")
        assert (read.entries, read.end, read.root) == ((b"a", b""), len(HEAD + FIRST), ROOTS[1])


@pytest.mark.parametrize(
    "behind",
    {
        "again": FIRST,
        "out_of_order": record(HEAD, [b"b"], ROOTS[2]),
        "another_key": record(FIRST, [b"b"], ROOTS[2], bytes(32)),
        "other_entry": SECOND.replace(b"bb", b"bc", 1),
        "other_root": SECOND.replace(ROOTS[2], ROOTS[3]),
        "other_count": SECOND[:7] + b"\2" + SECOND[8:],
        "length_beyond_the_end": b"\xff" * 4 + SECOND[4:],
    }.items(),
    ids=lambda one: one[0],
)
def test_a_record_that_does_not_belong_there_ends_the_journal(behind: tuple[str, bytes]) -> None:
    read = journal.load_journal(HEAD + FIRST + behind[1], KEY, "j")
    assert (read.entries, read.end) == ((b"a", b""), len(HEAD + FIRST))


def test_a_first_record_of_another_base() -> None:
    read = journal.load_journal(head(256, ROOTS[0]) + FIRST, KEY, "j")
    assert read.entries == ()


BAD = {
    "nothing": b"",
    "cut": HEAD[:-1],
    "something_else": b"x" * 96,
    "within_a_tile": head(1, ROOTS[0]),
    "other_base": HEAD.replace((512).to_bytes(8, "big"), (256).to_bytes(8, "big")),
    "other_root": HEAD.replace(ROOTS[0], ROOTS[3], 1),
    "another_key": head(512, ROOTS[0], bytes(32)),
    "zeros": bytes(4096),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_bad_journals(data: bytes) -> None:
    with pytest.raises(FormatError):
        journal.load_journal(data, KEY, "j")


# --- of a log ---------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> TestLog:
    return make_log(tmp_path / "log", *OLD)


def put_record(log: TestLog, data: bytes) -> None:
    """Write behind the last record of a log's journal."""
    path = log.directory / "journal"
    end = journal.load_journal(path.read_bytes(), journal.journal_key(log.signer), "j").end
    with path.open("r+b") as file:
        file.seek(end)
        file.write(data)


def next_record(log: TestLog, *entries: bytes, root: bytes | None = None) -> bytes:
    """What the log's own writer would write."""
    key = journal.journal_key(log.signer)
    read = journal.load_journal((log.directory / "journal").read_bytes(), key, "j")
    after = logs.root([*read.entries, *entries])
    return record(read.tag, list(entries), after if root is None else root, key)


@pytest.mark.parametrize("size", [1, 200])
def test_a_torn_record_is_not_in_the_log(log: TestLog, size: int) -> None:
    put_record(log, next_record(log, *([b"never signed"] * size))[:-1])
    log.append(b"signed")
    log.append(b"signed too")  # what is left of the torn one is behind the last record
    assert log.entries()[5:] == [b"signed", b"signed too"]


def test_a_whole_record_that_was_not_signed_yet_is_in_the_log(log: TestLog) -> None:
    put_record(log, next_record(log, b"from a dead process"))
    writer.check_writable(log.directory, log.signer)
    assert log.entries()[5:] == [b"from a dead process"]


def test_tiles_that_are_not_those_before_the_journal(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", *(b"%d" % number for number in range(300)))
    path = log.directory / "tile/1/000.p/1"
    path.write_bytes(bytes(32))
    with pytest.raises(LogError, match="tiles are not those that its journal goes on from"):
        log.append(b"x")
    (log.directory / "checkpoint").unlink()
    with pytest.raises(LogError, match="tiles are not those that its journal goes on from"):
        log.append(b"x")
