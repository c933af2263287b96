# SPDX-License-Identifier: Apache-2.0
"""A power cut at any moment of appends, and somebody who makes it look as if there had been one.

Of what was not made durable a drive may hold anything: the old file, the new one, zeros, half of
either. Whatever it holds, the log goes on, has every entry that an append returned for, and signs
nothing that contradicts what it ever showed. Who has no key can bring back what was, and no more.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pyhash.errors import LogError
from pyhash.log import journal, writer
from pyhash.log.checkpoint import verify_checkpoint
from pyhash.log.note_keys import LOG, generate_note_key
from tests.support import logs
from tests.support.logs import TestLog, make_log

SECTOR, HEAD = 512, 96
BEFORE = tuple(b"before %d" % number for number in range(252))
# One by one up to the end of a tile, over it in one batch, and on.
APPENDS = ((b"a",), (b"b" * 700, b"c"), (b"d",), (b"e" * 900,), (b"f", b"g", b"h"), (b"i",))


@dataclass
class Drive:
    """What a power cut could leave of the files of a directory."""

    home: Path
    durable: dict[str, bytes] = field(default_factory=dict)
    synced: dict[int, bytes] = field(default_factory=dict)  # inode -> content
    since: dict[str, list[bytes]] = field(default_factory=dict)  # written and not durable

    def begin(self) -> None:
        self.durable = self.files()
        self.synced = {
            os.stat(self.home / name).st_ino: data for name, data in self.files().items()
        }

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.home.rglob("*") if path.is_file())
        return {str(path.relative_to(self.home)): path.read_bytes() for path in found}

    def look(self) -> None:
        """Remember what is there: any of it may come to be on the drive."""
        for name, data in self.files().items():
            seen = self.since.setdefault(name, [])
            if data != self.durable.get(name) and data not in seen:
                seen.append(data)

    def sync(self, descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path.is_dir():
            for one in path.iterdir():
                if one.is_file():
                    self._name(one)
            return
        self.synced[os.fstat(descriptor).st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()
        # The name was durable before, and the content replaced in place.
        if path.name == "journal":
            self._name(path)

    def _name(self, path: Path) -> None:
        name, inode = str(path.relative_to(self.home)), path.stat().st_ino
        if self.synced.get(inode) == path.read_bytes():
            self.durable[name] = self.synced[inode]
            self.since[name] = []

    def cut(self, target: Path, choice: random.Random, kind: str) -> None:
        """Write one of the directories that could be found after a power cut."""
        for name in sorted({*self.durable, *self.since}):
            if os.path.basename(name).startswith(".pyhash-"):
                continue  # has the number of the process that died; it is in nobody's way
            data = self._left(name, choice, kind)
            if data is not None:
                path = target / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

    def _left(self, name: str, choice: random.Random, kind: str) -> bytes | None:
        old, new = self.durable.get(name), self.since.get(name, [])
        if not new or kind == "old":
            return old
        if kind == "zeros" and name != "journal":
            return bytes(len(new[-1]))
        if kind == "new":
            return new[-1]
        some = choice.choice(new)
        if name != "journal":
            return choice.choice(
                [old, some, bytes(len(some)), b"", torn(some, bytes(len(some)), choice)]
            )
        # A new journal was durable before it got the name; a record is written where it stands.
        is_renamed = old is not None and some[:HEAD] != old[:HEAD]
        return choice.choice([old, some]) if is_renamed else torn(some, old or b"", choice)


def torn(new: bytes, old: bytes, choice: random.Random) -> bytes:
    """Any sectors of the one, the rest of the other; at the length of the new one."""
    old = old.ljust(len(new), b"\0")
    return b"".join(
        choice.choice((new, old))[at : min(at + SECTOR, len(new))]
        for at in range(0, len(new), SECTOR)
    )


def watch(patch: pytest.MonkeyPatch, drive: Drive, act: Callable[[], None]) -> None:
    """Do something before and after each call that changes files, and in the middle of a write."""

    def wrapped(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            with turn:  # tiles are made durable by several threads
                act()
                result = real(*arguments, **named)
                act()
            return result

        return call

    def half(descriptor: int, data: bytes, offset: int) -> int:
        act()
        return pwrite(descriptor, bytes(data[: len(data) // 2 + 1]), offset)

    pwrite, turn = os.pwrite, threading.RLock()
    patch.setattr(os, "pwrite", half)
    for name in ("rename", "unlink", "rmdir", "makedirs", "link", "posix_fallocate"):
        patch.setattr(os, name, wrapped(getattr(os, name)))
    for name in ("fsync", "fdatasync"):
        patch.setattr(os, name, wrapped(drive.sync))


def test_a_power_cut_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_ROOM_BYTES", 4 * SECTOR)  # less to copy
    log = make_log(tmp_path / "log", *BEFORE)
    drive = Drive(log.directory)
    drive.begin()
    returned: list[bytes] = list(BEFORE)
    shown: set[bytes] = set()
    disks: list[tuple[Path, list[bytes], set[bytes]]] = []
    choice = random.Random(11)

    def moment() -> None:
        drive.look()
        shown.add((log.directory / "checkpoint").read_bytes())
        kinds = (("old", "any"), ("zeros", "any"), ("new", "any"))
        for kind in kinds[len(disks) // 2 % 3]:
            target = tmp_path / "disks" / str(len(disks))
            drive.cut(target, choice, kind)
            disks.append((target, list(returned), set(shown)))

    with pytest.MonkeyPatch.context() as patch:
        watch(patch, drive, moment)
        for entries in APPENDS:
            log.append(*entries)
            returned += entries
            moment()
    everything = list(returned)
    assert len(disks) > 150
    sizes = range(len(BEFORE), len(everything) + 1)
    roots = {size: logs.root(everything[:size]) for size in sizes}
    lost = 0
    for directory, promised, notes in disks:
        found = TestLog(directory, log.signer, log.witness)
        lost += b"\0" in (directory / "checkpoint").read_bytes()
        found.append(b"of its successor")
        entries = found.entries()
        assert entries.pop() == b"of its successor"
        assert promised == entries[: len(promised)]
        assert entries == everything[: len(entries)]
        for note in notes:
            point = verify_checkpoint(note, log.trust, "note").checkpoint
            assert point.size <= len(entries)
            assert point.root == roots[point.size]
        assert found.open().tree.root == logs.root([*entries, b"of its successor"])
        shutil.rmtree(directory)
    assert lost > 20


# --- somebody without the key who writes in the directory --------------------------------------

LOST: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(200)),
}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[TestLog]:
    log = make_log(tmp_path / "log", *BEFORE, b"x", b"x", b"x", b"x", b"tiles end here")
    shutil.copytree(log.directory, tmp_path / "old")
    log.append(b"first")
    log.append(b"second")
    yield log
    assert not (tmp_path / "log/.next").exists()


def records(log: TestLog) -> tuple[bytes, list[bytes], list[int]]:
    """The journal, its entries, and where each record ends."""
    data, key = (log.directory / "journal").read_bytes(), journal.journal_key(log.signer)
    read = journal.load_journal(data, key, "j")
    ends = [journal.load_journal(data[:end], key, "j").end for end in range(120, read.end + 1)]
    return data, list(read.entries), sorted(set(ends))


@pytest.mark.parametrize("lose", LOST.values(), ids=LOST)
def test_a_lost_checkpoint_lets_nobody_rewrite_the_log(
    log: TestLog, lose: Callable[[Path], object]
) -> None:
    """Other entries in the journal, sealed with what somebody without the key has."""
    data, entries, ends = records(log)
    assert entries == [b"tiles end here", b"first", b"second"]
    stranger = journal.journal_key(generate_note_key(logs.ORIGIN, LOG))
    root = logs.root([*BEFORE, *[b"x"] * 4, b"tiles end here", b"first", b"forged"])
    for key in (stranger, bytes(32), log.signer.verifier.public):
        forged = journal.dump_record(key, data[ends[-2] - 32 : ends[-2]], [b"forged"], root)
        path = log.directory / "journal"
        path.write_bytes(data[: ends[-2]] + forged + bytes(1000))
        # With the checkpoint there, the writer stops ...
        with pytest.raises(LogError, match="entries were lost, or an old file was put back"):
            log.append(b"next")
    lose(log.directory / "checkpoint")
    # ... and without it nothing that the log's key did not write is signed.
    log.append(b"next")
    assert log.entries() == [*BEFORE, *[b"x"] * 4, b"tiles end here", b"first", b"next"]


@pytest.mark.parametrize("lose", LOST.values(), ids=LOST)
def test_a_lost_checkpoint_does_not_let_an_entry_be_changed_in_place(
    log: TestLog, lose: Callable[[Path], object]
) -> None:
    path = log.directory / "journal"
    path.write_bytes(path.read_bytes().replace(b"first", b"forge"))
    lose(log.directory / "checkpoint")
    log.append(b"next")
    # The record that was changed ends the log, and nothing of it is signed.
    assert log.entries() == [*BEFORE, *[b"x"] * 4, b"tiles end here", b"next"]


def test_a_lost_checkpoint_and_other_tiles(log: TestLog) -> None:
    (log.directory / "checkpoint").write_bytes(bytes(200))
    for path in (log.directory / "tile/0/000", log.directory / "tile/1/000.p/1"):
        path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(LogError, match="tiles are not those"):
        log.append(b"next")


def test_an_old_checkpoint_and_a_forged_journal(log: TestLog, tmp_path: Path) -> None:
    """An old checkpoint is public: it stands in every proof. It was once enough for this."""
    data, _, ends = records(log)
    shutil.copy(tmp_path / "old/checkpoint", log.directory / "checkpoint")
    root = logs.root([*BEFORE, *[b"x"] * 4, b"tiles end here", b"forged"])
    forged = journal.dump_record(bytes(32), data[ends[1] - 32 : ends[1]], [b"forged"], root)
    (log.directory / "journal").write_bytes(data[: ends[1]] + forged + bytes(1000))
    log.append(b"next")
    assert b"forged" not in log.entries()


@pytest.mark.parametrize("lose", LOST.values(), ids=LOST)
def test_an_earlier_state_can_be_brought_back_and_who_remembers_sees_it(
    log: TestLog, tmp_path: Path, lose: Callable[[Path], object]
) -> None:
    """The limit of what a log in one directory can know: docs/log.md says so."""
    later = log.open().tree
    shutil.copy(tmp_path / "old/journal", log.directory / "journal")
    with pytest.raises(LogError, match="entries were lost"):
        log.append(b"another history")
    lose(log.directory / "checkpoint")
    log.append(b"another history", b"as long", b"or longer")
    with pytest.raises(LogError):
        log.open().verify_began_with(later)


def test_a_journal_of_another_key_is_no_journal_of_this_log(log: TestLog, tmp_path: Path) -> None:
    other = make_log(tmp_path / "other", *BEFORE)
    shutil.copy(other.directory / "journal", log.directory / "journal")
    (log.directory / "checkpoint").unlink()
    with pytest.raises(Exception, match="not the journal of this log"):
        writer.check_writable(log.directory, log.signer)
