# SPDX-License-Identifier: Apache-2.0
"""Signed notes (c2sp.org/signed-note): a text, an empty line, and signatures of named keys.

What the text says is for ``checkpoint.py``, and only after ``verify_note``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from pyhash import limits
from pyhash.errors import FormatError, LimitError, SignatureError
from pyhash.log.note_keys import KEY_ID_BYTES, NoteSigner, NoteVerifier, check_key_name

_DASH = "— "


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One line below a note.

    Attributes:
        name: Of the key, as the line claims.
        key_id: Four bytes, as the line claims.
        value: The signature.
    """

    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A note that has been read and not yet checked.

    Attributes:
        text: The exact text, with its last newline.
        signatures: At least one, in the order of the file.
    """

    text: bytes
    signatures: tuple[NoteSignature, ...]


def load_note(data: bytes, path: str) -> SignedNote:
    """Read a signed note strictly. Pure, thread-safe.

    Args:
        data: The whole note.
        path: Where it came from, for messages.

    Raises:
        LimitError: The note, or the number of its signatures, is above its cap.
        FormatError: Not a signed note.
    """
    if len(data) > limits.MAX_NOTE_BYTES:
        raise LimitError(f"{path}: more than {limits.MAX_NOTE_BYTES} bytes", path)
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: a note that is not UTF-8", path, error.start) from None
    if any(ord(one) < 0x20 and one != "\n" for one in whole):
        raise FormatError(f"{path}: a note with control characters", path)
    text, gap, below = whole.rpartition("\n\n")
    if not gap or not text or not below.endswith("\n"):
        raise FormatError(f"{path}: not a signed note: no signatures below an empty line", path)
    lines = below.removesuffix("\n").split("\n")
    if len(lines) > limits.MAX_NOTE_SIGNATURES:
        raise LimitError(f"{path}: more than {limits.MAX_NOTE_SIGNATURES} signatures", path)
    signatures = tuple(_load_signature(line, path) for line in lines)
    return SignedNote(f"{text}\n".encode(), signatures)


def dump_note(note: SignedNote) -> bytes:
    """Write a signed note: the inverse of ``load_note``. Pure, thread-safe, raises nothing."""
    lines = "".join(
        f"{_DASH}{one.name} {base64.b64encode(one.key_id + one.value).decode('ascii')}\n"
        for one in note.signatures
    )
    return note.text + b"\n" + lines.encode("utf-8")


def sign_note(text: bytes, signer: NoteSigner, time: int = 0) -> NoteSignature:
    """Sign a text; see ``NoteSigner.sign``. Raises nothing."""
    key = signer.verifier
    return NoteSignature(key.name, key.key_id, signer.sign(text, time))


def verify_note(
    note: SignedNote, keys: Sequence[NoteVerifier], path: str
) -> dict[NoteVerifier, int | None]:
    """Check the signatures of known keys; those of unknown ones count for nothing.

    Args:
        note: What ``load_note`` gave.
        keys: The known keys.
        path: Where the note came from, for messages.

    Returns:
        The known keys that signed, each once, with the time of a witness.

    Raises:
        SignatureError: A known key is said to have signed, and has not; or none has.
    """
    signed: dict[NoteVerifier, int | None] = {}
    for one in note.signatures:
        for key in keys:
            if (key.name, key.key_id) == (one.name, one.key_id):
                try:
                    signed[key] = key.verify(note.text, one.value)
                except SignatureError:
                    raise SignatureError(
                        f"{path}: the signature of {key.name} does not hold"
                    ) from None
    if not signed:
        known = ", ".join(key.name for key in keys) or "none"
        raise SignatureError(f"{path}: not signed by a known key; known: {known}")
    return signed


def _load_signature(line: str, path: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    try:
        if not line.startswith(_DASH) or not space:
            raise ValueError("not a line of a signature")
        data = binascii.a2b_base64(encoded, strict_mode=True)
        if len(data) <= KEY_ID_BYTES or base64.b64encode(data).decode("ascii") != encoded:
            raise ValueError("too short, or not in its one spelling")
    except ValueError as error:
        raise FormatError(f"{path}: a bad signature below the note: {error}", path) from error
    check_key_name(name, "the name of a key", path)
    return NoteSignature(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])
