# SPDX-License-Identifier: Apache-2.0
"""A keeper of a log, with its key or without, who truncates, forks, reorders or rewrites it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pyhash import errors
from pyhash.cli import group
from pyhash.errors import LogError, SignatureError
from pyhash.log import witness, writer
from pyhash.log.checkpoint import Checkpoint, dump_text
from pyhash.log.note import SignedNote, dump_note, sign_note
from pyhash.log.note_keys import LOG, generate_note_key, write_note_keys
from pyhash.log.proof import Proof, verify_proof
from pyhash.log.reader import open_log
from pyhash.log.tiles import pack_entries
from tests.support import logs
from tests.support.logs import TestLog, make_log

OLD = tuple(b"old %d" % number for number in range(300))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TestLog:
    home = tmp_path_factory.mktemp("made")
    log = make_log(home / "log", *OLD)
    write_note_keys(log.signer, str(log.directory))
    return log


@pytest.fixture
def log(made: TestLog, tmp_path: Path) -> TestLog:
    """A log of 300 entries; a watcher remembers it as it was then."""
    for name in ("log", "log.key", "log.vkey"):
        source = made.directory.parent / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    copied = TestLog(tmp_path / "log", made.signer, made.witness)
    witness.watch_log(copied.directory, copied.trust, tmp_path / "memory")
    return copied


def rebuild(log: TestLog, *entries: bytes) -> None:
    """What a keeper can do who has the key: another history under the same name."""
    shutil.rmtree(log.directory)
    writer.init_log(log.directory, log.signer)
    log.append(*entries)


def sign(log: TestLog, size: int, root: bytes) -> bytes:
    text = dump_text(Checkpoint(logs.ORIGIN, size, root))
    return dump_note(SignedNote(text, (sign_note(text, log.signer),)))


HISTORIES: dict[str, tuple[bytes, ...]] = {
    "truncated": OLD[:250],
    "emptied": (),
    "forked": (*OLD[:299], b"another", b"and more"),
    "reordered": (OLD[1], OLD[0], *OLD[2:], b"more"),
    "rewritten": (b"other", *OLD[1:], b"more"),
    "one_left_out": (*OLD[:100], *OLD[101:], b"more", b"more"),
    "same_size": (*OLD[:299], b"another"),
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_another_history_is_seen_by_who_remembers(
    log: TestLog, tmp_path: Path, history: tuple[bytes, ...]
) -> None:
    shutil.copy(log.directory / "checkpoint", tmp_path / "before")
    rebuild(log, *history)
    assert log.entries() == list(history)  # in itself it is a perfect log
    memory = (tmp_path / "memory").read_bytes()
    with pytest.raises(LogError):
        witness.watch_log(log.directory, log.trust, tmp_path / "memory", witness=log.witness)
    assert (tmp_path / "memory").read_bytes() == memory
    line = ("log", "watch", str(log.directory), "--log-key", f"{log.directory}.vkey")
    assert group.run([*line, "--memory", str(tmp_path / "memory")]) == 1
    line = ("log", "checkpoint", str(log.directory), "--log-key", f"{log.directory}.vkey")
    assert group.run([*line, "--since", str(tmp_path / "before")]) == 1
    assert (tmp_path / "memory").read_bytes() == memory


def test_growing_is_fine(log: TestLog, tmp_path: Path) -> None:
    log.append(b"more")
    assert witness.watch_log(log.directory, log.trust, tmp_path / "memory").before == 300


def _edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def act(directory: Path) -> None:
        path = directory / name
        path.write_bytes(change(path.read_bytes()))

    return act


def _swap_entries(data: bytes) -> bytes:
    first = data[: 2 + len(OLD[0])]
    second = data[len(first) : len(first) + 2 + len(OLD[1])]
    return second + first + data[len(first) + len(second) :]


# Without the key: files of the log are changed under the checkpoint that is there.
EDITS: dict[str, Callable[[Path], None]] = {
    "entry_changed": _edit("tile/entries/000", lambda data: data.replace(b"old 7", b"old 8", 1)),
    "entries_swapped": _edit("tile/entries/000", _swap_entries),
    "entry_lost": _edit("tile/entries/000", lambda data: data[2 + len(OLD[0]) :]),
    "bytes_behind": _edit("tile/entries/001.p/44", lambda data: data + b"x"),
    "bundle_cut": _edit("tile/entries/001.p/44", lambda data: data[:-1]),
    "hash_changed": _edit("tile/0/000", lambda data: bytes(32) + data[32:]),
    "tile_cut": _edit("tile/0/000", lambda data: data[:-32]),
    "upper_hash_changed": _edit("tile/1/000.p/1", lambda data: bytes(32)),
    "both_changed": lambda directory: (
        _edit("tile/entries/001.p/44", lambda data: pack_entries([b"x"] * 44))(directory),
        _edit("tile/0/001.p/44", lambda data: logs.leaf(b"x") * 44)(directory),
    )[0],
    "tile_gone": lambda directory: (directory / "tile/0/000").unlink(),
    "size_raised": _edit("checkpoint", lambda data: data.replace(b"\n300\n", b"\n301\n")),
    "size_lowered": _edit("checkpoint", lambda data: data.replace(b"\n300\n", b"\n299\n")),
    "renamed": _edit("checkpoint", lambda data: data.replace(b"example.com", b"example.org")),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_changed_files(log: TestLog, edit: Callable[[Path], None]) -> None:
    edit(log.directory)
    with pytest.raises(errors.PyhashError) as caught:
        log.entries()
    assert isinstance(caught.value, (LogError, SignatureError, errors.CheckError))
    line = ("log", "verify", str(log.directory), "--log-key", f"{log.directory}.vkey")
    assert group.run(line) in (1, 3)


def test_signed_by_another_key(log: TestLog) -> None:
    other = generate_note_key(logs.ORIGIN, LOG)
    rebuilt = TestLog(log.directory, other, log.witness)
    rebuild(rebuilt, *OLD)
    with pytest.raises(SignatureError):
        open_log(log.directory, log.trust)


# With the key, and no second copy anywhere: writers of the same host find out too.
@pytest.mark.parametrize("size", [299, 301])
def test_journal_and_checkpoint_that_do_not_fit(log: TestLog, size: int) -> None:
    (log.directory / "checkpoint").write_bytes(sign(log, size, bytes(32)))
    with pytest.raises(LogError):
        log.append(b"more")
    (log.directory / "checkpoint").write_bytes(sign(log, 300, bytes(32)))
    with pytest.raises(LogError, match="not those that its checkpoint was signed over"):
        log.append(b"more")


def test_old_files_put_back(log: TestLog, tmp_path: Path) -> None:
    shutil.copy(log.directory / "journal", tmp_path / "journal")
    shutil.copy(log.directory / "checkpoint", tmp_path / "checkpoint")
    log.append(*(b"more %d" % number for number in range(300)))
    shutil.copy(log.directory / "journal", tmp_path / "newer")
    shutil.copy(tmp_path / "journal", log.directory / "journal")
    with pytest.raises(LogError, match="an old file was put back"):
        log.append(b"x")
    shutil.copy(tmp_path / "newer", log.directory / "journal")
    shutil.copy(tmp_path / "checkpoint", log.directory / "checkpoint")
    with pytest.raises(LogError, match="an old file was put back"):
        log.append(b"x")


# --- proofs -----------------------------------------------------------------------------------


def test_proofs_of_something_else(log: TestLog, tmp_path: Path) -> None:
    entry, proof = log.open().prove(7)
    verify_proof(entry, proof, log.trust, "p")
    other_log = make_log(tmp_path / "other", *OLD)
    _, foreign = other_log.open().prove(7)
    for wrong_entry, wrong in (
        (OLD[8], proof),
        (entry, Proof(8, proof.hashes, proof.checkpoint)),
        (entry, Proof(7, proof.hashes[:-1], proof.checkpoint)),
        (entry, Proof(7, (*proof.hashes, bytes(32)), proof.checkpoint)),
        (entry, Proof(7, proof.hashes, sign(log, 300, bytes(32)))),
        (entry, Proof(300, proof.hashes, proof.checkpoint)),
        # A node is no leaf: the concatenation of two hashes is not an entry.
        (proof.hashes[0] + logs.leaf(entry), Proof(3, proof.hashes[1:], proof.checkpoint)),
    ):
        with pytest.raises(LogError):
            verify_proof(wrong_entry, wrong, log.trust, "p")
    with pytest.raises(SignatureError):
        verify_proof(entry, foreign, log.trust, "p")


def test_witnesses_are_required_where_they_are_named(log: TestLog, tmp_path: Path) -> None:
    with pytest.raises(LogError, match="co-signed by 0"):
        open_log(log.directory, log.witnessed)
    seen = witness.watch_log(
        log.directory, log.trust, tmp_path / "memory", witness=log.witness, now=1
    )
    (tmp_path / "cosigned").write_bytes(seen.note)
    witness.add_cosignatures(log.directory, log.witnessed, tmp_path / "cosigned")
    assert open_log(log.directory, log.witnessed).checkpoint.witnesses
    # A co-signature does not go over to another checkpoint.
    forged = sign(log, 301, bytes(32)) + seen.note.splitlines(keepends=True)[-1]
    (log.directory / "checkpoint").write_bytes(forged)
    with pytest.raises(SignatureError, match="witness"):
        open_log(log.directory, log.witnessed)


def test_a_proof_fails_with_its_log(log: TestLog) -> None:
    (log.directory / "tile/entries/000").write_bytes(pack_entries([b"x"] * 256))
    with pytest.raises(LogError):
        log.open().prove(3)
    with pytest.raises(LogError, match=r"not other\.example"):
        log.open().verify_began_with(Checkpoint("other.example", 1, bytes(32)))
