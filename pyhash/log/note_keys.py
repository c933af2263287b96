# SPDX-License-Identifier: Apache-2.0
"""Keys of signed notes (c2sp.org/signed-note): their text forms, signing and checking.

A public key is written ``name+hex(key id)+base64(type ‖ key)``, a private one with
``PRIVATE+KEY+`` before it. Two types: a log signs the text, a witness co-signs a checkpoint with
the time (c2sp.org/tlog-cosignature). Both Ed25519.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import stat
from dataclasses import dataclass, field

from pyhash import files, limits
from pyhash.atomic import sync_directory
from pyhash.errors import FormatError, KeyFileError, LimitError, ReadError, SignatureError
from pyhash.signing import ed25519
from pyhash.strict_json import show

LOG, WITNESS = 0x01, 0x04  # signature types of the specification
KEY_ID_BYTES = 4
_KINDS = {LOG: "a log", WITNESS: "a witness"}
_PRIVATE = "PRIVATE+KEY+"
_TIME_BYTES = 8
_MAX_TIME = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class NoteVerifier:
    """A trusted public key of a log or a witness. Immutable, thread-safe.

    Attributes:
        name: Of the key; of a log, its origin.
        kind: ``LOG`` or ``WITNESS``.
        public: Ed25519 public key, 32 bytes.
    """

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that stand before each signature. Raises nothing."""
        named = self.name.encode("utf-8") + b"\n" + bytes([self.kind]) + self.public
        return hashlib.sha256(named).digest()[:KEY_ID_BYTES]

    @property
    def text(self) -> str:
        """The key as it is written. Raises nothing."""
        encoded = base64.b64encode(bytes([self.kind]) + self.public).decode("ascii")
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    def verify(self, text: bytes, value: bytes) -> int | None:
        """Check a signature over the text of a note.

        Args:
            text: The exact text, with its last newline.
            value: The signature without the key id.

        Returns:
            Of a witness, when it co-signed, in seconds since 1970; of a log, None.

        Raises:
            SignatureError: This key did not make this signature over this text.
        """
        if self.kind == LOG:
            ed25519.verify(self.public, text, value)
            return None
        time, signature = int.from_bytes(value[:_TIME_BYTES], "big"), value[_TIME_BYTES:]
        if time > _MAX_TIME:
            raise SignatureError(f"{self.name}: the time of a co-signature is out of range")
        ed25519.verify(self.public, _cosigned(text, time), signature)
        return time


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """A private key of a log or a witness. Immutable, thread-safe; ``repr`` has no secret.

    Attributes:
        verifier: The matching public key.
    """

    verifier: NoteVerifier
    _seed: bytes = field(repr=False, compare=False)

    @property
    def text(self) -> str:
        """The private key as it is written into its file. Raises nothing."""
        encoded = base64.b64encode(bytes([self.verifier.kind]) + self._seed).decode("ascii")
        return f"{_PRIVATE}{self.verifier.name}+{self.verifier.key_id.hex()}+{encoded}"

    def sign(self, text: bytes, time: int = 0) -> bytes:
        """Sign the text of a note.

        Args:
            text: The exact text, with its last newline.
            time: Of a co-signature, seconds since 1970; a log's signature has none.

        Returns:
            The signature without the key id. Raises nothing.
        """
        if self.verifier.kind == LOG:
            return ed25519.sign(self._seed, text)
        signature = ed25519.sign(self._seed, _cosigned(text, time))
        return time.to_bytes(_TIME_BYTES, "big") + signature

    def derive_key(self, purpose: bytes) -> bytes:
        """Return a secret of 32 bytes that only who holds this key can make. Raises nothing.

        Args:
            purpose: What it is for; another purpose, or another name of the key, has another.
        """
        name = self.verifier.name.encode("utf-8")
        return hmac.digest(self._seed, purpose + b"\0" + name, "sha256")


def generate_note_key(name: str, kind: int) -> NoteSigner:
    """Make a new key.

    Args:
        name: Of the key.
        kind: ``LOG`` or ``WITNESS``.

    Raises:
        FormatError: A name that no key can have.
    """
    check_key_name(name, "the name of a key")
    seed = ed25519.generate_seed()
    return NoteSigner(NoteVerifier(name, kind, ed25519.public_key(seed)), seed)


def parse_verifier(text: str, *, kind: int, path: str = "the key") -> NoteVerifier:
    """Read a public key.

    Args:
        text: The key on one line.
        kind: ``LOG`` or ``WITNESS``; another is refused.
        path: Where it came from, for messages.

    Raises:
        KeyFileError: Not such a key.
    """
    if text.startswith(_PRIVATE):
        raise KeyFileError(f"{path}: this is a private key; give the public one", path)
    name, data = _parse(text, kind, path)
    verifier = NoteVerifier(name, kind, data)
    _check_id(text, verifier, path)
    return verifier


def load_verifier(location: str | os.PathLike[str], *, kind: int) -> NoteVerifier:
    """Read a public key from a file of one line; otherwise as ``parse_verifier``.

    Raises:
        KeyFileError: The file cannot be read, or holds no such key.
    """
    name = os.fspath(location)
    return parse_verifier(_read(name), kind=kind, path=name)


def load_signer(location: str | os.PathLike[str], *, kind: int) -> NoteSigner:
    """Read a private key from a file that nobody but its owner can read.

    Raises:
        KeyFileError: Not such a key, or others can read it.
    """
    name = os.fspath(location)
    text = _read(name)
    if not text.startswith(_PRIVATE):
        raise KeyFileError(f"{name}: not a private key of a note ({_PRIVATE}...)", name)
    mode = stat.S_IMODE(os.stat(name).st_mode)
    if mode & 0o077:
        raise KeyFileError(f"{name}: mode {mode:04o} lets others read it; run chmod 600", name)
    text = text.removeprefix(_PRIVATE)
    key_name, seed = _parse(text, kind, name)
    signer = NoteSigner(NoteVerifier(key_name, kind, ed25519.public_key(seed)), seed)
    _check_id(text, signer.verifier, name)
    return signer


def check_key_name(name: str, where: str, path: str | None = None) -> None:
    """Refuse a name that no key of a note can have.

    Raises:
        FormatError: Empty, or with white space, ``+``, or what cannot be seen.
    """
    if not name or "+" in name or not name.isprintable() or name.split() != [name]:
        raise FormatError(f"{path or name}: {where} is {show(name)}", path)


def _cosigned(text: bytes, time: int) -> bytes:
    return b"cosignature/v1\ntime %d\n" % time + text


def _read(name: str) -> str:
    try:
        data = files.read_small(name, limits.MAX_KEY_FILE_BYTES)
        return data.decode("utf-8").removesuffix("\n")
    except (ReadError, LimitError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{name}: cannot be read as a key: {error}", name) from error


def _parse(text: str, kind: int, path: str) -> tuple[str, bytes]:
    """Return name and key; the key id is checked once the public half is known."""
    name, *rest = text.split("+", 2)
    try:
        check_key_name(name, "the name of the key", path)
        (_, encoded) = rest
        data = binascii.a2b_base64(encoded, strict_mode=True)
    except (FormatError, ValueError) as error:
        raise KeyFileError(f"{path}: not a key of a signed note: {error}", path) from error
    if len(data) != 1 + ed25519.PUBLIC_KEY_BYTES or data[0] != kind:
        raise KeyFileError(f"{path}: not an Ed25519 key of {_KINDS[kind]}", path)
    return name, data[1:]


def _check_id(text: str, verifier: NoteVerifier, path: str) -> None:
    if text.split("+", 2)[1] != verifier.key_id.hex():
        raise KeyFileError(f"{path}: the key id does not belong to the key", path)


def write_note_keys(signer: NoteSigner, name: str) -> tuple[str, str]:
    """Write ``name.key`` (mode 0600) and ``name.vkey``, never over existing files.

    Args:
        signer: What to write.
        name: Path without the endings.

    Returns:
        Both paths.

    Raises:
        KeyFileError: One of the files exists or cannot be written.
    """
    private, public = f"{name}.key", f"{name}.vkey"
    for path, text, mode in (
        (private, signer.text, 0o600),
        (public, signer.verifier.text, 0o644),
    ):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            with open(descriptor, "wb") as file:
                file.write(f"{text}\n".encode())
                file.flush()
                os.fsync(descriptor)
            sync_directory(os.path.dirname(path) or ".")
        except FileExistsError as error:
            raise KeyFileError(
                f"{path}: exists already; keys are never overwritten", path
            ) from error
        except OSError as error:
            raise KeyFileError(f"{path}: cannot be written: {error.strerror}", path) from error
    return private, public
