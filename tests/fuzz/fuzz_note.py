# SPDX-License-Identifier: Apache-2.0
"""Fuzz target: signed notes, checkpoints and proofs of logs. Nothing may pass as signed by the log
but the one checkpoint that it signed.
"""

from __future__ import annotations

from _harness import main

from pyhash.errors import LogError, SignatureError
from pyhash.log.checkpoint import Checkpoint, TrustedLog, dump_text, verify_checkpoint
from pyhash.log.note import SignedNote, dump_note, load_note, sign_note
from pyhash.log.note_keys import LOG, NoteSigner, NoteVerifier
from pyhash.log.proof import Proof, dump_proof, load_proof, verify_proof
from pyhash.signing import ed25519

MUTATIONS = 6_000

DICTIONARY = (
    "\n— a AAAAAAAA\n".encode(), b"\n\n", b"example.com/fuzz", b"index 0\n", b"extra AAAA\n",
    b"c2sp.org/tlog-proof@v1\n", b"00", b"-1", b"18446744073709551616", b"=", b"\r", b"+",
)  # fmt: skip

_SEED = bytes(range(32))
_SIGNER = NoteSigner(NoteVerifier("example.com/fuzz", LOG, ed25519.public_key(_SEED)), _SEED)
_TRUST = TrustedLog(_SIGNER.verifier)
_TEXT = dump_text(Checkpoint("example.com/fuzz", 1, b"r" * 32))
_NOTE = dump_note(SignedNote(_TEXT, (sign_note(_TEXT, _SIGNER),)))


def seeds() -> list[bytes]:
    """A checkpoint, the same with a stranger's signature, and a proof around it."""
    stranger = "— stranger.example AAAAAAAA\n".encode()
    return [_NOTE, _NOTE + stranger, dump_proof(Proof(0, (bytes(32), b"x" * 32), _NOTE))]


def one_input(data: bytes) -> None:
    """Read as a proof and as a note; whatever holds must be what was signed."""
    if data.startswith(b"c2sp"):
        proof = load_proof(data, "fuzz")
        if load_proof(dump_proof(proof), "fuzz") != proof:
            raise AssertionError("writing and reading changed a proof")
        try:
            verify_proof(b"entry", proof, _TRUST, "fuzz")
        except (SignatureError, LogError):
            return
        raise AssertionError("an entry that nobody logged is proven")
    note = load_note(data, "fuzz")
    if dump_note(note) != data:
        raise AssertionError("a note with two spellings")
    try:
        verified = verify_checkpoint(data, _TRUST, "fuzz")
    except (SignatureError, LogError):
        return
    if note.text != _TEXT or verified.checkpoint.size != 1:
        raise AssertionError(f"passed as signed: {note.text!r}")


if __name__ == "__main__":
    main(one_input, seeds())
