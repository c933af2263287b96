# SPDX-License-Identifier: Apache-2.0
"""Appends to a log in a directory: durable before it is signed, one writer at a time.

The order within an append, which a kill between any two system calls cannot turn into two
checkpoints that contradict each other:

1. take the lock; read journal and checkpoint, and hold the one against the other
2. write the entries and the root with them into the journal, ``fdatasync``: from here on they are
   in the log
3. write tiles and entry bundles, which readers look for only after step 4
4. sign the checkpoint over all entries of the journal, and rename it into place
5. when a tile is full: make tiles and checkpoint durable, and begin a new journal

Whoever comes after a crash finds the entries of step 2 and signs the very bytes that the dead
process signed or would have signed. A power cut may put an older checkpoint back, or leave zeros
in its place; neither is missed, because the journal says what the log's key wrote, and nobody
without that key can make it say something else.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from pyhash import atomic, files, limits
from pyhash.errors import LimitError, LogError, ReadError, UsageError
from pyhash.log import journal as journals
from pyhash.log.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    TrustedLog,
    VerifiedCheckpoint,
    dump_text,
    verify_checkpoint,
)
from pyhash.log.lock import LOCK, locked, writing
from pyhash.log.note import SignedNote, dump_note, sign_note
from pyhash.log.note_keys import NoteSigner
from pyhash.log.publish import TileWriter
from pyhash.log.tiles import TILE_WIDTH, TileReader
from pyhash.log.tree import Nodes, range_root
from pyhash.merkle import EMPTY_ROOT, fold_nodes, leaf_hashes, node_hash

JOURNAL = "journal"
# What a journal may hold besides one batch: fewer than 256 entries, a record each, 128 bytes of
# header and digests at the most; and the room behind them.
_MAX_REST_BYTES = TILE_WIDTH * (limits.MAX_LOG_ENTRY_BYTES + 128) + (1 << 20)


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append came to.

    Attributes:
        first: Number of the first entry that was appended.
        checkpoint: The log's new checkpoint, signed.
    """

    first: int
    checkpoint: VerifiedCheckpoint


@dataclass(frozen=True, slots=True)
class _State:
    """The log under the lock: its journal, the leaves of the entries in it, the tiles before it,
    and the key that the journal is sealed with.
    """

    key: bytes
    journal: journals.Journal
    leaves: tuple[bytes, ...]
    tiles: TileReader

    @property
    def size(self) -> int:
        return self.journal.base + len(self.leaves)


def init_log(directory: str | os.PathLike[str], signer: NoteSigner) -> VerifiedCheckpoint:
    """Begin a log in a directory that is not there yet, or is empty.

    Args:
        directory: Where it will lie.
        signer: The log's key; its name is the origin.

    Returns:
        The checkpoint of the empty log.

    Raises:
        UsageError: There is something in the directory already.
        WriteError: The system refused.
    """
    name = os.fspath(directory)
    with writing(name):
        os.makedirs(name, exist_ok=True)
        if os.listdir(name):
            raise UsageError(f"{name}: is not empty; a log begins in a directory of its own")
    atomic.write_file(os.path.join(name, LOCK), b"")
    journal = journals.dump_journal(journals.journal_key(signer), 0, EMPTY_ROOT)
    atomic.write_file(os.path.join(name, JOURNAL), journal)
    checkpoint = _publish_checkpoint(name, signer, 0, EMPTY_ROOT)
    with writing(name):
        atomic.sync_directory(name)
    return checkpoint


def append_entries(
    directory: str | os.PathLike[str], signer: NoteSigner, entries: Sequence[bytes]
) -> Appended:
    """Append entries to a log; when it returns, they are durable and under a signed checkpoint.

    Any number of processes of one host may call it; each waits for its turn.

    Args:
        directory: The log.
        signer: Its key.
        entries: What to append, in order; none is fine and finishes what a crash left behind.

    Returns:
        Where they stand, and the new checkpoint.

    Raises:
        LogError: The log is not what its own checkpoint says; nothing was appended.
        SignatureError: The checkpoint is not signed by this key; nothing was appended.
        LimitError: An entry, or all together, are too large; nothing was appended.
        ReadError, WriteError, FormatError: The system refused, or a file of the log is damaged.
    """
    name = os.fspath(directory)
    if sum(len(entry) + 2 for entry in entries) > limits.MAX_BATCH_BYTES:
        raise LimitError(f"more than {limits.MAX_BATCH_BYTES} bytes in one append")
    with locked(name):
        state, promised = _load_state(name, signer)
        first = state.size
        if not entries and promised is not None and promised.checkpoint.size == first:
            return Appended(first, promised)
        return Appended(first, _publish(name, signer, _write_journal(name, state, entries)))


def check_writable(directory: str | os.PathLike[str], signer: NoteSigner) -> None:
    """Find out before any work whether an append would be possible, and finish a crashed one.

    Raises:
        As ``append_entries``.
    """
    append_entries(directory, signer, ())


def _load_state(name: str, signer: NoteSigner) -> tuple[_State, VerifiedCheckpoint | None]:
    """Step 1: the journal says what is in the log, the checkpoint what was promised."""
    verified = _load_promise(name, signer)
    path, key = os.path.join(name, JOURNAL), journals.journal_key(signer)
    data = files.read_small(path, limits.MAX_BATCH_BYTES + _MAX_REST_BYTES)
    journal = journals.load_journal(data, key, path)
    state = _State(key, journal, tuple(leaf_hashes(journal.entries)), TileReader(name))
    if _root(state, state.size) != journal.root:
        raise LogError(f"{name}: its tiles are not those that its journal goes on from")
    if verified is None:
        return state, None
    promised = verified.checkpoint
    if not journal.base <= promised.size <= state.size:
        raise LogError(
            f"{name}: its checkpoint is of {promised.size} entries, and it holds {journal.base} in"
            f" tiles and {len(state.leaves)} in its journal: entries were lost, or an old file was"
            " put back. Restore the log from a copy"
        )
    is_newest = promised.size == state.size
    if promised.root != (journal.root if is_newest else _root(state, promised.size)):
        raise LogError(f"{name}: its entries are not those that its checkpoint was signed over")
    return state, verified


def _load_promise(name: str, signer: NoteSigner) -> VerifiedCheckpoint | None:
    """Read the checkpoint; None: it is not there, or is what a power cut leaves of a file.

    No note holds a zero byte. Whoever takes the checkpoint away, instead of a power cut, gains what
    an old one in its place gives: the log goes on from an earlier state, which it truly was in.
    """
    path = os.path.join(name, CHECKPOINT)
    try:
        data = files.read_small(path, limits.MAX_NOTE_BYTES)
    except ReadError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    if not data or b"\0" in data:
        return None
    return verify_checkpoint(data, TrustedLog(signer.verifier), path)


def _write_journal(name: str, old: _State, entries: Sequence[bytes]) -> _State:
    """Step 2. Without entries: make durable what a crash left, before it is signed."""
    state, record = old, b""
    if entries:
        state, record = _with_entries(old, entries)
    end = old.journal.end
    path = os.path.join(name, JOURNAL)
    with writing(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            _write_all(descriptor, record, end)
            os.fdatasync(descriptor)
        except BaseException:
            # Not known to be on the drive: it must not look as if it were.
            with suppress(OSError):
                _write_all(descriptor, bytes(len(record)), end)
            raise
        finally:
            os.close(descriptor)
    return state


def _with_entries(old: _State, entries: Sequence[bytes]) -> tuple[_State, bytes]:
    """Return the log with more entries, and the record that makes it so."""
    journal = old.journal
    new = replace(old, leaves=(*old.leaves, *leaf_hashes(entries)))
    root = _root(new, new.size)
    record = journals.dump_record(old.key, journal.tag, entries, root)
    all_entries, end = (*journal.entries, *entries), journal.end + len(record)
    tag = record[-len(journal.tag) :]
    return replace(new, journal=journals.Journal(journal.base, all_entries, root, end, tag)), record


def _publish(name: str, signer: NoteSigner, state: _State) -> VerifiedCheckpoint:
    """Steps 3 to 5."""
    writer = TileWriter(name, state.journal.base)
    with writing(name):
        writer.write(state.leaves, state.journal.entries)
    root = state.journal.root
    checkpoint = _publish_checkpoint(name, signer, state.size, root)
    if len(state.leaves) >= TILE_WIDTH:
        with writing(name):
            writer.sync((CHECKPOINT,))
        base = state.size // TILE_WIDTH * TILE_WIDTH
        rest = state.journal.entries[base - state.journal.base :]
        journal = journals.dump_journal(state.key, base, _root(state, base), rest, root)
        atomic.write_file(os.path.join(name, JOURNAL), journal)
        with writing(name):
            writer.remove_partial()
    return checkpoint


def _publish_checkpoint(
    name: str, signer: NoteSigner, size: int, root: bytes
) -> VerifiedCheckpoint:
    """Step 4."""
    checkpoint = Checkpoint(signer.verifier.name, size, root)
    text = dump_text(checkpoint)
    path = os.path.join(name, CHECKPOINT)
    note = dump_note(SignedNote(text, (sign_note(text, signer),)))
    with writing(path):
        TileWriter(name, 0).put(CHECKPOINT, note)
    return VerifiedCheckpoint(checkpoint, note, ())


def _root(state: _State, size: int) -> bytes:
    """The root over the first ``size`` entries of the log under the lock."""
    base, leaves = state.journal.base, state.leaves
    rest = b"".join(leaves[: size - base])
    if base == 0:
        return fold_nodes(rest) if rest else EMPTY_ROOT
    if size - base >= TILE_WIDTH:
        return range_root(_nodes(state), 0, size)
    # Fewer leaves than a tile has are one subtree, on the right of the full ones.
    peaks, start, tiles = [], 0, state.tiles.nodes(base)
    while start < base:
        height = (base - start).bit_length() - 1
        peaks.append(tiles(height, start >> height))
        start += 1 << height
    root = fold_nodes(rest) if rest else peaks.pop()
    for peak in reversed(peaks):
        root = node_hash(peak, root)
    return root


def _nodes(state: _State) -> Nodes:
    """Nodes of the log under the lock: from tiles before the journal, from memory behind it."""
    base, leaves = state.journal.base, state.leaves
    tiles = state.tiles.nodes(base)

    def node(height: int, index: int) -> bytes:
        start, end = index << height, (index + 1) << height
        if end <= base:
            return tiles(height, index)
        if start >= base:
            return fold_nodes(b"".join(leaves[start - base : end - base]))
        return node_hash(node(height - 1, 2 * index), node(height - 1, 2 * index + 1))

    return node


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count
