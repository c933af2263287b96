# SPDX-License-Identifier: Apache-2.0
"""Access events: what they say, that they are found again with proof, and proofs beside models."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pwd
from pathlib import Path

import pytest

from pyhash import access, limits
from pyhash.errors import FormatError, KeyFileError, LimitError, LogError, ReadError, UsageError
from pyhash.log import proof_file
from pyhash.log.accesses import find_accesses, find_entry
from pyhash.log.events import AccessEvent, dump_event, load_event, statement_entry
from pyhash.log.note_keys import write_note_keys
from pyhash.log.proof import verify_proof
from tests.support.logs import TestLog, make_log

ROOT = bytes(range(32))
SHOWN = f"pyhash-v1:{ROOT.hex()}"
EVENT = AccessEvent(
    "verify", "done", "2026-11-25T02:30:00Z", "ann", 1000, "host", None, SHOWN, "/models/a"
)


@pytest.fixture
def log(tmp_path: Path) -> TestLog:
    made = make_log(tmp_path / "log")
    write_note_keys(made.signer, str(made.directory))
    return made


def test_event_is_one_line_of_sorted_json() -> None:
    entry = dump_event(EVENT)
    assert entry == (
        b'{"at":"2026-11-25T02:30:00Z","kind":"pyhash-access-v1","operation":"verify","outcome":'
        b'"done","what":{"files":[],"key":null,"location":"/models/a","ranges":[],"root":"'
        + SHOWN.encode()
        + b'"},"who":{"credential":null,"host":"host","uid":1000,"user":"ann"}}'
    )
    assert load_event(entry, "e") == EVENT


def test_every_field_comes_back() -> None:
    event = dataclasses.replace(
        EVENT,
        user=None,
        credential="AKIA",
        root=None,
        files=("a/\u00e9", "b"),
        ranges=(("a", 0, 5),),
        key="ff",
    )
    assert load_event(dump_event(event), "e") == event


def test_long_lists_become_a_count() -> None:
    many = tuple(f"file {number}" for number in range(257))
    entry = dump_event(dataclasses.replace(EVENT, files=many))
    assert json.loads(entry)["what"]["files"]["count"] == 257
    assert len(entry) < 1000
    found = load_event(entry, "e")
    assert found is not None
    assert found.files == ()
    wide = dump_event(
        dataclasses.replace(EVENT, files=("x" * 30_000,), ranges=(("x" * 30_000, 0, 1),))
    )
    assert len(wide) < limits.MAX_LOG_ENTRY_BYTES


@pytest.mark.parametrize(
    "change",
    [
        {"operation": "steal"},
        {"outcome": "maybe"},
        {"at": "yesterday"},
        {"at": "2026-13-45T99:99:99Z"},  # no calendar has it
        {"at": "2026-1-1T1:1:1Z"},
        {"at": "２０２６-01-01T00:00:00Z"},
        {"root": "pyhash-v1:1"},
    ],
)
def test_no_such_event(change: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        dump_event(dataclasses.replace(EVENT, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"kind":"pyhash-access-v1"', b'"kind":"other"'),
        (b'"uid":1000', b'"uid": 1000'),
        (b'"uid":1000', b'"uid":-1'),
        (b'"outcome":"done"', b'"outcome":"dome"'),
        (b'"ranges":[]', b'"ranges":[["a",1]]'),
        (b'"ranges":[]', b'"ranges":[["a",2,1]]'),
        (b'"files":[]', b'"files":{"count":1}'),
        (b'"files":[]', b'"files":[1]'),
        (b'"user":"ann"', b'"user":7'),
    ],
)
def test_forged_events(old: bytes, new: bytes) -> None:
    with pytest.raises(FormatError):
        load_event(dump_event(EVENT).replace(old, new), "e")


def test_other_entries_are_no_events() -> None:
    assert load_event(b"anything", "e") is None
    small, large = b"x" * limits.MAX_LOG_ENTRY_BYTES, b"x" * (limits.MAX_LOG_ENTRY_BYTES + 1)
    assert statement_entry(small) == small
    assert json.loads(statement_entry(large)) == {
        "kind": "pyhash-statement-v1",
        "sha256": hashlib.sha256(large).hexdigest(),
        "size": len(large),
    }


def test_recorded_and_found(log: TestLog, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = access.open_access_log(log.directory)
    mine = opened.event("load", "done", "model", root=ROOT, files=["a"], credential="id")
    other = opened.event("pull", "failed", "s3://bucket/model")
    access.record_access(opened, mine, other)
    assert (mine.user, mine.uid) == (pwd.getpwuid(os.getuid()).pw_name, os.getuid())
    assert mine.location == os.path.abspath("model")
    assert other.location == "s3://bucket/model"
    (found,) = find_accesses(log.open(), SHOWN)
    assert found.event == mine
    assert verify_proof(found.entry.entry, found.proof, log.trust, "p").index == 0
    with pytest.raises(UsageError):
        find_accesses(log.open(), "root")

    def nameless(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nameless)
    assert opened.event("load", "done", "model").user is None


def test_a_log_that_cannot_be_written(log: TestLog, tmp_path: Path) -> None:
    with pytest.raises(KeyFileError):
        access.open_access_log(tmp_path / "nothing")
    (log.directory / "journal").write_bytes(b"damaged")
    with pytest.raises(FormatError):
        access.open_access_log(log.directory)


def test_statements_and_their_proofs(log: TestLog, tmp_path: Path) -> None:
    opened = access.open_access_log(log.directory, f"{log.directory}.key")
    place = tmp_path / "model.proofs.jsonl"
    assert proof_file.load_proofs(place) == {}
    for bundle in (b"one", b"two", b"x" * 100_000):
        access.record_statement(opened, bundle, place)
    proofs = proof_file.load_proofs(place)
    assert len(proofs) == 3
    assert proof_file.verify_logged(b"two", proofs, log.trust, "two").index == 1
    assert proof_file.verify_logged(b"x" * 100_000, proofs, log.trust, "x").index == 2
    with pytest.raises(LogError, match="no proof"):
        proof_file.verify_logged(b"three", proofs, log.trust, "three")
    assert find_entry(log.open(), b"two") == 1
    with pytest.raises(UsageError, match="no such entry"):
        find_entry(log.open(), b"three")
    copy = tmp_path / "copy.jsonl"
    proof_file.copy_proofs(place, copy)
    proof_file.copy_proofs(tmp_path / "none", copy)
    assert proof_file.load_proofs(copy) == proofs


def test_bad_files_of_proofs(log: TestLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = access.open_access_log(log.directory)
    place = tmp_path / "proofs"
    access.record_statement(opened, b"one", place)
    data = place.read_bytes()
    place.write_bytes(data * 2)
    with pytest.raises(FormatError, match="two proofs"):
        proof_file.load_proofs(place)
    place.write_bytes(b"[]\n")
    with pytest.raises(FormatError):
        proof_file.load_proofs(place)
    with pytest.raises(ReadError):
        proof_file.load_proofs(tmp_path)
    monkeypatch.setattr(limits, "MAX_STATEMENTS", 1)
    place.write_bytes(data)
    assert len(proof_file.load_proofs(place)) == 1
    place.write_bytes(data * 2)
    with pytest.raises(LimitError):
        proof_file.load_proofs(place)
