# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a log (c2sp.org/tlog-checkpoint), and whom to trust for them.

A checkpoint says: this log has that many entries, and their tree that root. Here it is held
against the keys of the log and of the witnesses; what the log holds is for ``reader.py``.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from pyhash import limits
from pyhash.errors import FormatError, LimitError, LogError, SignatureError, UsageError
from pyhash.log.note import dump_note, load_note, verify_note
from pyhash.log.note_keys import LOG, WITNESS, NoteVerifier, check_key_name
from pyhash.merkle import DIGEST_BYTES
from pyhash.strict_json import show

CHECKPOINT = "checkpoint"  # its file in a log


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How large a log is, and its root.

    Attributes:
        origin: Name of the log.
        size: Entries.
        root: RFC 6962 root over them, 32 bytes.
        extensions: Further lines, which mean nothing to us; they are signed too.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrustedLog:
    """Whom to trust for a log. Immutable, thread-safe.

    Attributes:
        key: Public key of the log; its name is the origin.
        witnesses: Public keys of witnesses, each a key of its own.
        threshold: How many of them must have co-signed.

    Raises:
        UsageError: A key of the wrong kind, one witness twice, or a threshold that nobody can meet.
    """

    key: NoteVerifier
    witnesses: tuple[NoteVerifier, ...] = ()
    threshold: int = 0

    def __post_init__(self) -> None:
        if self.key.kind != LOG or any(one.kind != WITNESS for one in self.witnesses):
            raise UsageError("a log needs a log's key, and witnesses need witness keys")
        if len({one.public for one in self.witnesses}) != len(self.witnesses):
            raise UsageError("one witness is named twice; it would count twice")
        if not 0 <= self.threshold <= len(self.witnesses):
            raise UsageError(
                f"{self.threshold} of {len(self.witnesses)} witnesses cannot be required"
            )


@dataclass(frozen=True, slots=True)
class VerifiedCheckpoint:
    """A checkpoint that the log's key signed. Only ``verify_checkpoint`` constructs one.

    Attributes:
        checkpoint: What it says.
        note: The exact signed note.
        witnesses: Known witnesses that co-signed, with the time in seconds since 1970.
    """

    checkpoint: Checkpoint
    note: bytes
    witnesses: tuple[tuple[str, int], ...]


def dump_text(checkpoint: Checkpoint) -> bytes:
    """Return the text of a checkpoint, which is what is signed. Pure, raises nothing."""
    root = base64.b64encode(checkpoint.root).decode("ascii")
    lines = (checkpoint.origin, str(checkpoint.size), root, *checkpoint.extensions)
    return "".join(f"{line}\n" for line in lines).encode()


def load_text(text: bytes, path: str) -> Checkpoint:
    """Read the text of a checkpoint strictly. Pure, thread-safe.

    Args:
        text: UTF-8, as ``load_note`` gave it.
        path: Where it came from, for messages.

    Raises:
        LimitError: More entries than a log may have.
        FormatError: Not a checkpoint.
    """
    lines = text.decode("utf-8").removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines):
        raise FormatError(f"{path}: a checkpoint has three lines or more, none empty", path)
    origin, digits, encoded, *extensions = lines
    check_key_name(origin, "the origin", path)
    try:
        root = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError as error:
        raise FormatError(f"{path}: the root is not base64: {error}", path) from error
    if len(root) != DIGEST_BYTES or base64.b64encode(root).decode("ascii") != encoded:
        raise FormatError(f"{path}: the root is not 32 bytes in base64", path)
    return Checkpoint(origin, load_number(digits, "the size", path), root, tuple(extensions))


def load_number(digits: str, where: str, path: str) -> int:
    """Read a decimal number without leading zeros, at most ``MAX_LOG_SIZE``.

    Raises:
        LimitError: Above that.
        FormatError: Not such a number.
    """
    if not digits.isascii() or not digits.isdigit() or (digits[0] == "0" and digits != "0"):
        raise FormatError(f"{path}: {where} is {show(digits)}, not a plain number", path)
    if len(digits) > len(str(limits.MAX_LOG_SIZE)) or int(digits) > limits.MAX_LOG_SIZE:
        raise LimitError(f"{path}: {where} is above {limits.MAX_LOG_SIZE}", path)
    return int(digits)


def verify_checkpoint(data: bytes, trust: TrustedLog, path: str) -> VerifiedCheckpoint:
    """Check who signed a checkpoint, and only then read what it says. Pure, thread-safe.

    Args:
        data: The whole note.
        trust: The keys of the log and of its witnesses.
        path: Where it came from, for messages.

    Returns:
        The checkpoint, now proven to be the log's own and seen by enough witnesses.

    Raises:
        SignatureError: Not signed by the log, or a known key's signature does not hold.
        LogError: Of another log, or co-signed by too few witnesses.
        LimitError, FormatError: Not a checkpoint.
    """
    note = load_note(data, path)
    signed = verify_note(note, (trust.key, *trust.witnesses), path)
    if trust.key not in signed:
        raise SignatureError(f"{path}: not signed by the log {trust.key.name}")
    checkpoint = load_text(note.text, path)
    if checkpoint.origin != trust.key.name:
        raise LogError(
            f"{path}: a checkpoint of {show(checkpoint.origin)}, not of {trust.key.name}"
        )
    seen = tuple((key.name, time) for key, time in signed.items() if time is not None)
    if len(seen) < trust.threshold:
        raise LogError(
            f"{path}: co-signed by {len(seen)} of the known witnesses; {trust.threshold} are"
            " required"
        )
    return VerifiedCheckpoint(checkpoint, dump_note(note), seen)
