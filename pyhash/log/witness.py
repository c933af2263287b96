# SPDX-License-Identifier: Apache-2.0
"""Watches a log: it may only grow. A watcher with a key is a witness and co-signs what it saw.

What a watcher remembers is the last checkpoint, in a file of its own that the log's keeper must
not be able to write. Without that memory a log could tell each reader another story.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from pyhash import atomic, files, limits
from pyhash.errors import LogError, ReadError, SignatureError
from pyhash.log.checkpoint import CHECKPOINT, TrustedLog, VerifiedCheckpoint, verify_checkpoint
from pyhash.log.lock import locked
from pyhash.log.note import SignedNote, dump_note, load_note, sign_note, verify_note
from pyhash.log.note_keys import NoteSigner
from pyhash.log.reader import LogReader, open_log


@dataclass(frozen=True, slots=True)
class Watched:
    """What a look at a log found.

    Attributes:
        log: The log under its newest checkpoint.
        before: Entries at the last look; None: this was the first one.
        note: The checkpoint, with the co-signature if there is a key.
    """

    log: LogReader
    before: int | None
    note: bytes


def watch_log(
    directory: str | os.PathLike[str],
    trust: TrustedLog,
    memory: str | os.PathLike[str],
    *,
    witness: NoteSigner | None = None,
    now: int = 0,
) -> Watched:
    """Look at a log, hold it against what was remembered, and remember what it is now.

    Args:
        directory: The log.
        trust: Its key; witnesses play no part.
        memory: File of the watcher: the last checkpoint that it saw.
        witness: Key to co-sign with; None: only watch.
        now: Time of the co-signature, seconds since 1970.

    Raises:
        LogError: The log was cut short, forked or rewritten; the memory stays what it was.
        SignatureError: The checkpoint, or the remembered one, is not signed by the log.
        ReadError, FormatError, LimitError, WriteError: A file cannot be read or written.
    """
    own = TrustedLog(trust.key)
    log = open_log(directory, own)
    before = _remembered(os.fspath(memory), own)
    if before is not None:
        log.verify_began_with(before.checkpoint)
    note = log.checkpoint.note
    atomic.write_file(memory, note)
    if witness is not None:
        note = cosign(note, witness, now)
    return Watched(log, None if before is None else before.checkpoint.size, note)


def cosign(note: bytes, witness: NoteSigner, now: int) -> bytes:
    """Add a co-signature to a checkpoint whose consistency was checked. Raises nothing new."""
    loaded = load_note(note, "the checkpoint")
    signature = sign_note(loaded.text, witness, now)
    return dump_note(SignedNote(loaded.text, (*loaded.signatures, signature)))


def add_cosignatures(
    directory: str | os.PathLike[str],
    trust: TrustedLog,
    cosigned: str | os.PathLike[str],
) -> VerifiedCheckpoint:
    """Put the co-signatures of known witnesses below the log's own checkpoint.

    Args:
        directory: The log.
        trust: The keys of the log and of the witnesses to take signatures from.
        cosigned: The same checkpoint as a witness gave it back; a file.

    Raises:
        LogError: It is a checkpoint of other entries than the log has now.
        SignatureError: No known witness signed it, or a signature does not hold.
        ReadError, FormatError, LimitError, WriteError: A file cannot be read or written.
    """
    name = os.fspath(cosigned)
    theirs = load_note(files.read_small(name, limits.MAX_NOTE_BYTES), name)
    known = verify_note(theirs, trust.witnesses, name)
    names = {(key.name, key.key_id) for key in known}
    path = os.path.join(os.fspath(directory), CHECKPOINT)
    # A writer's new checkpoint must not be written over.
    with locked(os.fspath(directory)):
        mine = files.read_small(path, limits.MAX_NOTE_BYTES)
        verify_checkpoint(mine, TrustedLog(trust.key), path)
        note = load_note(mine, path)
        if theirs.text != note.text:
            raise LogError(
                f"{name}: co-signed over another checkpoint than the log has now; a log that grew"
                " needs new co-signatures"
            )
        kept = [one for one in note.signatures if (one.name, one.key_id) not in names]
        added = [one for one in theirs.signatures if (one.name, one.key_id) in names]
        data = dump_note(SignedNote(note.text, (*kept, *added)))
        verified = verify_checkpoint(data, TrustedLog(trust.key, trust.witnesses), path)
        atomic.write_file(path, data)
    return verified


def _remembered(memory: str, trust: TrustedLog) -> VerifiedCheckpoint | None:
    try:
        data = files.read_small(memory, limits.MAX_NOTE_BYTES)
    except ReadError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    try:
        return verify_checkpoint(data, trust, memory)
    except SignatureError as error:
        raise SignatureError(f"{error}; is this the memory of another log?") from error
