# SPDX-License-Identifier: Apache-2.0
"""Signed notes, their keys, and checkpoints: published examples, and what is refused."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from pyhash import limits
from pyhash.errors import (
    FormatError,
    KeyFileError,
    LimitError,
    LogError,
    SignatureError,
    UsageError,
)
from pyhash.log import checkpoint as checkpoints
from pyhash.log import note, note_keys
from pyhash.log.checkpoint import Checkpoint, TrustedLog, verify_checkpoint
from pyhash.log.note_keys import LOG, WITNESS
from pyhash.signing import ed25519

# The example of c2sp.org/signed-note.
SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXm"
    "RKuwHjG1Yu72IneyaQM=\n"
).encode()
# RFC 8032, 7.1, test 2.
RFC_SEED = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
RFC_PUBLIC = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
RFC_SIGNATURE = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
LOG_KEY = note_keys.generate_note_key("example.com/log", LOG)
WITNESS_KEY = note_keys.generate_note_key("witness.example", WITNESS)
TRUST = TrustedLog(LOG_KEY.verifier, (WITNESS_KEY.verifier,), 0)
POINT = Checkpoint("example.com/log", 7, bytes(range(32)))


def signed(point: Checkpoint = POINT, *, text: bytes | None = None, witnesses: int = 0) -> bytes:
    text = checkpoints.dump_text(point) if text is None else text
    signatures = [note.sign_note(text, LOG_KEY)]
    signatures += [note.sign_note(text, WITNESS_KEY, 1679315147)] * witnesses
    return note.dump_note(note.SignedNote(text, tuple(signatures)))


def test_published_note() -> None:
    key = note_keys.parse_verifier(SPEC_KEY, kind=LOG)
    assert key.text == SPEC_KEY
    loaded = note.load_note(SPEC_NOTE, "note")
    assert loaded.text == b"This is an example message.\n"
    assert note.verify_note(loaded, [key], "note") == {key: None}
    assert note.dump_note(loaded) == SPEC_NOTE


def test_published_signature() -> None:
    seed, public = bytes.fromhex(RFC_SEED), bytes.fromhex(RFC_PUBLIC)
    assert ed25519.public_key(seed) == public
    assert ed25519.sign(seed, b"\x72").hex() == RFC_SIGNATURE
    ed25519.verify(public, b"\x72", bytes.fromhex(RFC_SIGNATURE))
    for bad in (b"", bytes(64), bytes.fromhex(RFC_SIGNATURE)[:-1]):
        with pytest.raises(SignatureError):
            ed25519.verify(public, b"\x72", bad)
    with pytest.raises(SignatureError):
        ed25519.verify(public[:-1], b"\x72", bytes.fromhex(RFC_SIGNATURE))


def test_cosigned_message() -> None:
    text = checkpoints.dump_text(POINT)
    value = WITNESS_KEY.sign(text, 1679315147)
    assert value[:8] == (1679315147).to_bytes(8, "big")
    message = b"cosignature/v1\ntime 1679315147\n" + text
    ed25519.verify(WITNESS_KEY.verifier.public, message, value[8:])
    assert WITNESS_KEY.verifier.verify(text, value) == 1679315147
    with pytest.raises(SignatureError, match="out of range"):
        WITNESS_KEY.verifier.verify(text, b"\xff" * 8 + value[8:])


BAD_NOTES = {
    "empty": b"",
    "no_signature": b"text\n",
    "no_text": b"\n\n" + SPEC_NOTE.split(b"\n\n")[1],
    "no_last_newline": SPEC_NOTE[:-1],
    "control": SPEC_NOTE.replace(b"This", b"T\x01is"),
    "carriage_return": SPEC_NOTE.replace(b"\n", b"\r\n"),
    "not_utf8": b"\xff" + SPEC_NOTE,
    "hyphen": SPEC_NOTE.replace("—".encode(), b"-"),
    "no_base64": SPEC_NOTE.replace(b"Uw2Q", b"Uw2!"),
    "short": "text\n\n— name Uw2QOg==\n".encode(),
    "other_spelling": "text\n\n— name Uw2QOkl=\n".encode(),
    "plus_in_name": SPEC_NOTE.replace(b"example.com/foo", b"a+b"),
    "empty_name": SPEC_NOTE.replace(b"example.com/foo", b""),
    "nothing_signed": "text\n\n— name\n".encode(),
}


@pytest.mark.parametrize("data", BAD_NOTES.values(), ids=BAD_NOTES)
def test_bad_notes(data: bytes) -> None:
    with pytest.raises(FormatError):
        note.load_note(data, "note")


def test_caps_of_notes() -> None:
    text, line = SPEC_NOTE.split(b"\n\n")
    most = text + b"\n\n" + line * limits.MAX_NOTE_SIGNATURES
    assert len(note.load_note(most, "note").signatures) == limits.MAX_NOTE_SIGNATURES
    with pytest.raises(LimitError):
        note.load_note(most + line, "note")
    padding = limits.MAX_NOTE_BYTES - len(SPEC_NOTE)
    note.load_note(b"x" * padding + SPEC_NOTE, "note")
    with pytest.raises(LimitError):
        note.load_note(b"x" * (padding + 1) + SPEC_NOTE, "note")


def test_known_and_unknown_keys() -> None:
    key = note_keys.parse_verifier(SPEC_KEY, kind=LOG)
    loaded = note.load_note(SPEC_NOTE, "note")
    with pytest.raises(SignatureError, match="not signed by a known key; known: none"):
        note.verify_note(loaded, [], "note")
    with pytest.raises(SignatureError, match=r"known: example\.com/log"):
        note.verify_note(loaded, [LOG_KEY.verifier], "note")
    forged = note.SignedNote(b"Another.\n", loaded.signatures)
    with pytest.raises(SignatureError, match=r"example.com/foo does not hold"):
        note.verify_note(forged, [key], "note")


def test_key_files(tmp_path: Path) -> None:
    private, public = note_keys.write_note_keys(LOG_KEY, str(tmp_path / "log"))
    assert note_keys.load_signer(private, kind=LOG).verifier == LOG_KEY.verifier
    assert note_keys.load_verifier(public, kind=LOG) == LOG_KEY.verifier
    assert Path(private).stat().st_mode & 0o777 == 0o600
    assert LOG_KEY.text.split("+", 4)[4] not in repr(LOG_KEY)
    with pytest.raises(KeyFileError, match="never overwritten"):
        note_keys.write_note_keys(LOG_KEY, str(tmp_path / "log"))
    with pytest.raises(KeyFileError, match="cannot be written"):
        note_keys.write_note_keys(LOG_KEY, str(tmp_path / "no" / "log"))
    with pytest.raises(KeyFileError, match="private key; give the public one"):
        note_keys.load_verifier(private, kind=LOG)
    with pytest.raises(KeyFileError, match="not a private key"):
        note_keys.load_signer(public, kind=LOG)
    with pytest.raises(KeyFileError, match="of a witness"):
        note_keys.load_signer(private, kind=WITNESS)
    with pytest.raises(KeyFileError, match="cannot be read as a key"):
        note_keys.load_signer(tmp_path / "missing", kind=LOG)
    Path(private).chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        note_keys.load_signer(private, kind=LOG)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+530d903a",
        SPEC_KEY.replace("530d903a", "530d903b"),
        SPEC_KEY.replace("Aeky", "Beky"),
        SPEC_KEY[:-4],
        SPEC_KEY.replace("example.com/foo", "two words"),
        SPEC_KEY.replace("Aeky", "!eky"),
    ],
)
def test_bad_keys(text: str) -> None:
    with pytest.raises(KeyFileError):
        note_keys.parse_verifier(text, kind=LOG)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n", "a\u2003b", "\x1b[1m"])
def test_bad_names(name: str) -> None:
    with pytest.raises(FormatError):
        note_keys.generate_note_key(name, LOG)


# --- checkpoints ------------------------------------------------------------------------------


def test_checkpoint() -> None:
    verified = verify_checkpoint(signed(witnesses=1), TRUST, "c")
    assert verified.checkpoint == POINT
    assert verified.witnesses == (("witness.example", 1679315147),)
    with_lines = Checkpoint("example.com/log", 0, bytes(32), ("extension 1", "2"))
    assert verify_checkpoint(signed(with_lines), TRUST, "c").checkpoint == with_lines


ROOT_TEXT = base64.b64encode(bytes(32)).decode()
BAD_TEXTS = [
    "example.com/log\n7\n",
    f"example.com/log\n07\n{ROOT_TEXT}\n",
    f"example.com/log\n-7\n{ROOT_TEXT}\n",
    f"example.com/log\n+7\n{ROOT_TEXT}\n",
    f"example.com/log\n7.0\n{ROOT_TEXT}\n",
    f"example.com/log\n\u0667\n{ROOT_TEXT}\n",
    f"example.com/log\n{limits.MAX_LOG_SIZE + 1}\n{ROOT_TEXT}\n",
    f"example.com/log\n{'9' * 100}\n{ROOT_TEXT}\n",
    "example.com/log\n7\nAAAA\n",
    "example.com/log\n7\n!\n",
    f"example.com/log\n7\n{ROOT_TEXT[:-2]}B=\n",
    f"example.com/log\n7\n{ROOT_TEXT}\n\nx\n",
    f"two words\n7\n{ROOT_TEXT}\n",
]


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_bad_checkpoints(text: str) -> None:
    with pytest.raises(FormatError):
        verify_checkpoint(signed(text=text.encode()), TRUST, "c")


def test_largest_size() -> None:
    point = Checkpoint("example.com/log", limits.MAX_LOG_SIZE, bytes(32))
    assert verify_checkpoint(signed(point), TRUST, "c").checkpoint == point


def test_of_another_log() -> None:
    with pytest.raises(LogError, match=r"not of example\.com/log"):
        verify_checkpoint(signed(Checkpoint("example.com/other", 7, bytes(32))), TRUST, "c")


def test_witness_alone_is_not_the_log() -> None:
    text = checkpoints.dump_text(POINT)
    only = note.SignedNote(text, (note.sign_note(text, WITNESS_KEY, 5),))
    with pytest.raises(SignatureError, match="not signed by the log"):
        verify_checkpoint(note.dump_note(only), TRUST, "c")


def test_threshold_counts_witnesses_not_signatures() -> None:
    second = note_keys.generate_note_key("witness2.example", WITNESS)
    both = TrustedLog(LOG_KEY.verifier, (WITNESS_KEY.verifier, second.verifier), 2)
    with pytest.raises(LogError, match="co-signed by 1 of the known witnesses; 2 are required"):
        verify_checkpoint(signed(witnesses=2), both, "c")
    with pytest.raises(LogError, match="co-signed by 0"):
        verify_checkpoint(signed(), TrustedLog(LOG_KEY.verifier, (second.verifier,), 1), "c")


def test_trust_that_makes_no_sense() -> None:
    log, witness = LOG_KEY.verifier, WITNESS_KEY.verifier
    again = note_keys.NoteVerifier("another-name.example", WITNESS, witness.public)
    for arguments in (
        (witness,),
        (log, (log,)),
        (log, (witness, again), 2),
        (log, (witness,), 2),
        (log, (), -1),
    ):
        with pytest.raises(UsageError):
            TrustedLog(*arguments)
