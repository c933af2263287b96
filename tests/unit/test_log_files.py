# SPDX-License-Identifier: Apache-2.0
"""A log in a directory: what is written is what C2SP says, and what is read back is checked."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import threading
from pathlib import Path

import pytest

from pyhash import limits
from pyhash.errors import (
    FormatError,
    LimitError,
    LogError,
    ReadError,
    SignatureError,
    UsageError,
    WriteError,
)
from pyhash.log import lock, tiles, witness, writer
from pyhash.log.note_keys import LOG, generate_note_key
from pyhash.log.proof import Proof, dump_proof, load_proof, verify_proof
from pyhash.log.reader import open_log
from tests.support import logs
from tests.support.logs import TestLog, make_log


@pytest.fixture
def log(tmp_path: Path) -> TestLog:
    return make_log(tmp_path / "log", *(b"entry %d" % number for number in range(5)))


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[TestLog, list[bytes]]:
    """A log that grew in steps of many sizes, and its entries; not to be changed."""
    log = make_log(tmp_path_factory.mktemp("grown") / "log")
    choice = random.Random(7)
    entries: list[bytes] = []
    for count in (1, 1, 3, 250, 1, 1, 255, 256, 257, 700, 2):
        some = [choice.randbytes(choice.randrange(60)) for _ in range(count)]
        log.append(*some)
        entries += some
    return log, entries


# --- tiles ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((0, 0), "tile/0/000"),
        ((1, 999), "tile/1/999"),
        ((2, 1000), "tile/2/x001/000"),
        ((0, 1234067), "tile/0/x001/x234/067"),  # the specification's example
        ((0, 273, 112), "tile/0/273.p/112"),
        (("entries", 5, 1), "tile/entries/005.p/1"),
    ],
)
def test_names_of_tiles(arguments: tuple[object, ...], name: str) -> None:
    assert tiles.tile_path(*arguments) == name  # type: ignore[arg-type]


def test_bundles() -> None:
    entries = [b"", b"ab", b"x" * limits.MAX_LOG_ENTRY_BYTES]
    data = tiles.pack_entries(entries)
    assert data[:6] == b"\0\0\0\2ab"
    assert tiles.unpack_entries(data, 3, "b") == entries
    with pytest.raises(FormatError, match="cut short"):
        tiles.unpack_entries(data[:-1], 3, "b")
    with pytest.raises(FormatError, match="cut short"):
        tiles.unpack_entries(data, 4, "b")
    with pytest.raises(LimitError):
        tiles.pack_entries([b"x" * (limits.MAX_LOG_ENTRY_BYTES + 1)])


def test_tiles_are_those_of_the_specification(grown: tuple[TestLog, list[bytes]]) -> None:
    log, entries = grown
    size = len(entries)
    assert size == 1727
    place = log.directory / "tile"
    for number in range(size // 256):
        some = entries[256 * number : 256 * (number + 1)]
        assert (place / f"0/{number:03}").read_bytes() == b"".join(map(logs.leaf, some))
        assert (place / f"entries/{number:03}").read_bytes() == tiles.pack_entries(some)
        assert not (place / f"0/{number:03}.p").exists()
    rest = entries[1536:]
    assert (place / f"0/006.p/{len(rest)}").read_bytes() == b"".join(map(logs.leaf, rest))
    upper = b"".join(logs.root(entries[256 * n : 256 * (n + 1)]) for n in range(6))
    assert (place / "1/000.p/6").read_bytes() == upper
    lines = (log.directory / "checkpoint").read_text().splitlines()
    assert lines[:2] == [logs.ORIGIN, "1727"]
    assert log.open().tree.root == logs.root(entries)


def test_entries_and_proofs(grown: tuple[TestLog, list[bytes]]) -> None:
    log, entries = grown
    reader = log.open()
    steps: list[tuple[int, int]] = []
    found = list(reader.verify_entries(lambda done, total: steps.append((done, total))))
    assert [(one.index, one.entry) for one in found] == list(enumerate(entries))
    assert steps[-1] == (1727, 1727)
    for index in (0, 255, 256, 1000, 1535, 1536, 1726):
        entry, proof = reader.prove(index)
        assert entry == entries[index]
        assert list(proof.hashes) == logs.path(index, entries)
        again = load_proof(dump_proof(proof), "p")
        assert again == proof
        assert verify_proof(entry, again, log.trust, "p").index == index
    for index in (-1, 1727):
        with pytest.raises(UsageError, match="no entry"):
            reader.prove(index)


def test_a_full_tile_stands_in_for_a_partial_one(log: TestLog) -> None:
    old = log.open()
    shutil.copy(log.directory / "checkpoint", log.directory.parent / "old")
    log.append(*(b"more %d" % number for number in range(300)))
    assert not (log.directory / "tile/0/000.p").exists()
    reader = open_log(log.directory, log.trust, checkpoint=log.directory.parent / "old")
    assert [one.entry for one in reader.verify_entries()] == [b"entry %d" % n for n in range(5)]
    assert log.open().verify_began_with(old.tree)
    with pytest.raises(LogError, match="cut short"):
        old.verify_began_with(log.open().tree)


def test_empty_log(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log")
    assert log.entries() == []
    assert log.open().tree.root == logs.root([])
    writer.append_entries(log.directory, log.signer, [])
    assert log.open().tree.size == 0


# --- proofs as text ---------------------------------------------------------------------------


def test_proof_text(log: TestLog) -> None:
    _, proof = log.open().prove(3)
    head, checkpoint = dump_proof(proof).split(b"\n\n", 1)
    lines = head.decode().split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 3"]
    assert checkpoint == (log.directory / "checkpoint").read_bytes()
    extra = "\n".join([lines[0], "extra Zm9v", *lines[1:]]).encode() + b"\n\n" + checkpoint
    assert load_proof(extra, "p") == proof


BAD_PROOFS = [
    b"",
    b"c2sp.org/tlog-proof@v1\n\nx",
    b"c2sp.org/tlog-proof@v2\nindex 1\n\nx",
    b"c2sp.org/tlog-proof@v1\nextra x\n\nx",
    b"c2sp.org/tlog-proof@v1\nindex 01\n\nx",
    b"c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nx",
    b"c2sp.org/tlog-proof@v1\nindex 1\n!\n\nx",
    "c2sp.org/tlog-proof@v1\nindex ١\n\nx".encode(),
]


@pytest.mark.parametrize("data", BAD_PROOFS)
def test_bad_proofs(data: bytes) -> None:
    with pytest.raises(FormatError):
        load_proof(data, "p")


def test_cap_of_proof_hashes() -> None:
    most = dump_proof(Proof(0, (bytes(32),) * limits.MAX_PROOF_HASHES, b"x"))
    assert len(load_proof(most, "p").hashes) == limits.MAX_PROOF_HASHES
    with pytest.raises(LimitError):
        load_proof(dump_proof(Proof(0, (bytes(32),) * (limits.MAX_PROOF_HASHES + 1), b"")), "p")


# --- writing ----------------------------------------------------------------------------------


def test_init_only_into_an_empty_directory(log: TestLog, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not empty"):
        writer.init_log(log.directory, log.signer)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WriteError):
        writer.init_log(tmp_path / "file", log.signer)


def test_caps_of_an_append(log: TestLog) -> None:
    with pytest.raises(LimitError):
        log.append(b"x" * (limits.MAX_LOG_ENTRY_BYTES + 1))
    assert len(log.entries()) == 5
    log.append(b"x" * limits.MAX_LOG_ENTRY_BYTES)
    assert len(log.entries()) == 6


def test_cap_of_a_batch(log: TestLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_BATCH_BYTES", 14)
    log.append(b"12345", b"67890")
    with pytest.raises(LimitError, match="in one append"):
        log.append(b"12345", b"678901")


def test_another_key_cannot_append(log: TestLog) -> None:
    other = generate_note_key(logs.ORIGIN, LOG)
    with pytest.raises(SignatureError):
        writer.append_entries(log.directory, other, [b"x"])
    assert len(log.entries()) == 5


def test_not_a_log(tmp_path: Path, log: TestLog) -> None:
    with pytest.raises(WriteError, match="cannot be written"):
        writer.append_entries(tmp_path / "nothing", log.signer, [b"x"])
    with pytest.raises(ReadError):
        open_log(tmp_path / "nothing", log.trust)


def test_a_failed_write_leaves_nothing(log: TestLog, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (log.directory / "journal").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", full)
        with pytest.raises(WriteError, match="No space left"):
            log.append(b"lost")
    assert (log.directory / "journal").read_bytes() == before
    log.append(b"kept")
    assert log.entries()[5:] == [b"kept"]


@pytest.mark.parametrize("count", [0, 5, 256, 300])
@pytest.mark.parametrize("left", [None, b"", bytes(180)], ids=["gone", "empty", "zeros"])
def test_a_lost_checkpoint_is_made_again(tmp_path: Path, count: int, left: bytes | None) -> None:
    log = make_log(tmp_path / "log", *(b"%d" % number for number in range(count)))
    path = log.directory / "checkpoint"
    before = path.read_bytes()
    path.unlink() if left is None else path.write_bytes(left)
    with pytest.raises((ReadError, FormatError)):
        log.open()
    writer.check_writable(log.directory, log.signer)
    assert path.read_bytes() == before  # byte for byte
    log.append(b"next")
    assert log.entries() == [*(b"%d" % number for number in range(count)), b"next"]


@pytest.mark.parametrize("left", [b"no note", b"\n", b"a\n\n\xe2\x80\x94 a AAAA\n"])
def test_a_checkpoint_that_no_power_cut_leaves_stops_the_writer(log: TestLog, left: bytes) -> None:
    (log.directory / "checkpoint").write_bytes(left)
    with pytest.raises((FormatError, SignatureError)):
        log.append(b"x")


def test_a_checkpoint_that_cannot_be_read_stops_the_writer(log: TestLog) -> None:
    (log.directory / "checkpoint").unlink()
    (log.directory / "checkpoint").mkdir()
    with pytest.raises(ReadError):
        log.append(b"x")


def test_writers_take_turns(log: TestLog) -> None:
    def work(name: int) -> None:
        for number in range(10):
            log.append(b"%d %d" % (name, number))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = log.entries()
    assert len(set(entries)) == len(entries) == 45
    for name in range(4):
        own = [one for one in entries if one.startswith(b"%d " % name)]
        assert own == [b"%d %d" % (name, number) for number in range(10)]


def test_same_entries_keep_their_cosignatures(log: TestLog, tmp_path: Path) -> None:
    seen = witness.watch_log(log.directory, log.trust, tmp_path / "m", witness=log.witness, now=9)
    (tmp_path / "cosigned").write_bytes(seen.note)
    witness.add_cosignatures(log.directory, log.witnessed, tmp_path / "cosigned")
    writer.check_writable(log.directory, log.signer)
    assert open_log(log.directory, log.witnessed).checkpoint.witnesses == (("witness.example", 9),)


def test_a_lock_that_cannot_be_had(log: TestLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, how: int) -> None:
        raise OSError(37, "No locks available")

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(WriteError, match="No locks available"):
        log.append(b"x")
    with pytest.raises(WriteError, match="No locks available"), lock.locked_directory("."):
        pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_many_levels(log: TestLog) -> None:
    """More than 65,536 entries: a second level of tiles fills up."""
    entries = [b"%d" % number for number in range(65_600)]
    log.append(*entries)
    place = log.directory / "tile"
    assert (place / "1/000").stat().st_size == 8192
    assert (place / "2/000.p/1").stat().st_size == 32
    assert not (place / "1/000.p").exists()
    reader = log.open()
    assert sum(1 for _ in reader.verify_entries()) == 65_605
    assert reader.prove(40_000)[0] == b"39995"
    log.append(b"last")
    assert log.open().verify_began_with(reader.tree)
