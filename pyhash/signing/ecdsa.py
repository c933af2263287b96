# SPDX-License-Identifier: Apache-2.0
"""ECDSA keys in PEM files: making, reading, signing, checking. P-256, P-384 and P-521 only.

The digest follows the curve (SHA-256, SHA-384, SHA-512), so there is no algorithm field that an
attacker could turn down. No certificates, no tokens. A passphrase is asked for only when the file
is encrypted. ``cryptography`` is imported inside the functions, because ``pyhash --help`` must not
wait for it.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from dataclasses import field
from typing import TYPE_CHECKING

from pyhash import limits
from pyhash.errors import KeyFileError, SignatureError, UsageError
from pyhash.frozen import frozen
from pyhash.signing._base import KEY, AskSecret, Identity, Material, Sealed, SigningMethod
from pyhash.signing.dsse import PAYLOAD_TYPE, Envelope, pae
from pyhash.signing.pem_files import pem_labels, read_key_file, remove_file, write_new_file
from pyhash.signing.plain_key import algorithm_to_verify, load_plain_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

CURVES = ("P-256", "P-384", "P-521")
DEFAULT_CURVE = "P-256"

# Names that cryptography (and SEC 2) uses for the three curves.
_CURVE_BY_SEC_NAME = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_PUBLIC_LABEL = b"PUBLIC KEY"
_ENCRYPTED_LABEL = b"ENCRYPTED PRIVATE KEY"  # PKCS #8; its key derivation is a real one
_OLD_ENCRYPTION = b"Proc-Type: 4,ENCRYPTED"  # one round of MD5: guessed at billions per second


@frozen
class PublicKey:
    """A key that checks signatures. Immutable, thread-safe; equal when the PEM text is equal.

    Attributes:
        pem: SubjectPublicKeyInfo as PEM text, re-serialised: 64 columns and a final newline.
        curve: One of ``CURVES``.
        hint: SHA-256 of ``pem`` in lowercase hex: how an OMS bundle names its key.
    """

    pem: bytes
    curve: str
    hint: str
    _key: ec.EllipticCurvePublicKey = field(repr=False, compare=False)

    @property
    def kind(self) -> str:
        """The kind of material that it checks. Raises nothing."""
        return KEY

    def identify(self, envelope: Envelope, material: Material) -> Identity:
        """Check the signature of an envelope; see ``Verifier``.

        Raises:
            SignatureError: This key did not sign the envelope.
        """
        self.verify(envelope.message, envelope.signatures[0])
        return Identity(KEY, self.hint, self.hint)

    def verify(self, message: bytes, signature: bytes, *, with_sha256: bool = False) -> None:
        """Check a signature; return nothing when it holds.

        Args:
            message: The exact bytes that were signed.
            signature: DER ``SEQUENCE{r, s}``.
            with_sha256: Over SHA-256, and not over the digest that belongs to the curve.

        Raises:
            SignatureError: This key did not make this signature over these bytes.
        """
        from cryptography.exceptions import InvalidSignature

        try:
            algorithm = algorithm_to_verify("P-256" if with_sha256 else self.curve)
            self._key.verify(signature, message, algorithm)
        except InvalidSignature:
            raise SignatureError(
                f"the signature is not one that the {self.curve} key {self.hint} made"
            ) from None


@frozen
class PrivateKey:
    """A key that signs. Immutable, thread-safe; never shows its secret in ``repr``.

    Attributes:
        public_key: The matching public key.
    """

    public_key: PublicKey
    _key: ec.EllipticCurvePrivateKey = field(repr=False, compare=False)

    @property
    def hint(self) -> str:
        """Hint of the matching public key, 64 lowercase hex digits. Raises nothing."""
        return self.public_key.hint

    def seal(self, payload: bytes) -> Sealed:
        """Sign a payload; see ``Signer``. Raises nothing of ours."""
        return Sealed(self.sign(pae(PAYLOAD_TYPE, payload)), Material(KEY, hint=self.hint))

    def sign(self, message: bytes) -> bytes:
        """Sign a message with the digest that belongs to the curve.

        Args:
            message: The exact bytes to sign.

        Returns:
            DER ``SEQUENCE{r, s}``; differs from call to call.

        Raises:
            Nothing of ours: every key that could be loaded can sign.
        """
        return self._key.sign(message, _algorithm(self.public_key.curve))


def generate_key(curve: str = DEFAULT_CURVE) -> PrivateKey:
    """Make a new key from the system's random source. Safe to call from any thread.

    Args:
        curve: One of ``CURVES``.

    Returns:
        The key; nothing is written.

    Raises:
        UsageError: We do not take that curve.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    instances = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
    if curve not in instances:
        raise UsageError(f"no such curve: {curve!r} (one of {', '.join(CURVES)})")
    return _private_key(ec.generate_private_key(instances[curve]), None)


def load_public_key(path: str | os.PathLike[str]) -> PublicKey:
    """Read a public key. Safe to call from any thread.

    Args:
        path: A PEM file with exactly one ``PUBLIC KEY`` block.

    Returns:
        The key.

    Raises:
        KeyFileError: The file cannot be read, holds something else (a private key, a
            certificate, two keys), or a key that is not ECDSA on one of ``CURVES``.
    """
    name = os.fspath(path)
    pem = read_key_file(name, private=False)
    labels = pem_labels(pem)
    if labels != [_PUBLIC_LABEL]:
        raise KeyFileError(f"{name}: {_not_a_public_key(labels)}", name)
    plain = load_plain_key(pem)
    if plain is not None:
        return _named(plain, pem, name)
    return _load_any_public_key(pem, name)


def _load_any_public_key(pem: bytes, name: str) -> PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{name}: the public key cannot be decoded: {error}", name) from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise KeyFileError(f"{name}: not an ECDSA key; only {', '.join(CURVES)} are taken", name)
    return public_key(key, name)


def load_private_key(
    path: str | os.PathLike[str], passphrase: AskSecret | None = None
) -> PrivateKey:
    """Read a private key. Safe to call from any thread.

    Args:
        path: A PEM file, PKCS #8 or the older ``EC PRIVATE KEY``, that nobody but its owner can
            read. PKCS #8 may be encrypted.
        passphrase: Asked for the passphrase when the file is encrypted, and only then.

    Returns:
        The key.

    Raises:
        KeyFileError: The file cannot be read, is open to group or others, holds something other
            than one ECDSA key on one of ``CURVES``, or is encrypted and there is no passphrase, a
            wrong one, or an encryption that protects nothing.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    name = os.fspath(path)
    pem = read_key_file(name, private=True)
    labels = pem_labels(pem)
    if sum(label.endswith(b"PRIVATE KEY") for label in labels) != 1:
        raise KeyFileError(f"{name}: {_not_a_private_key(labels)}", name)
    if _OLD_ENCRYPTION in pem:
        raise KeyFileError(
            f"{name}: encrypted in the old way of OpenSSL, which derives its key by one round of"
            " MD5 and keeps nobody out; write it anew with"
            f" openssl pkcs8 -topk8 -v2 aes-256-cbc -in {name} -out NEW.key",
            name,
        )
    secret = _ask(name, passphrase) if _ENCRYPTED_LABEL in labels else None
    try:
        key = load_pem_private_key(pem, password=secret)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        doubt = "; is the passphrase right?" if secret is not None else ""
        raise KeyFileError(
            f"{name}: the private key cannot be decoded: {error}{doubt}", name
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyFileError(f"{name}: not an ECDSA key; only {', '.join(CURVES)} are taken", name)
    return _private_key(key, name)


def write_key_pair(
    key: PrivateKey,
    private_path: str | os.PathLike[str],
    public_path: str | os.PathLike[str],
    passphrase: bytes | None = None,
) -> None:
    """Write both halves of a key: both files or none, and never over an existing one.

    Files and directories are synced before it returns. Safe to call from any thread.

    Args:
        key: What to write.
        private_path: New file for the private key, PKCS #8 PEM, mode 0600.
        public_path: New file for the public key, SubjectPublicKeyInfo PEM, mode 0644.
        passphrase: Encrypt the private key with it; None: do not.

    Raises:
        UsageError: Both paths are the same, or the passphrase is empty or too long.
        KeyFileError: One of the files exists or cannot be written; none is left behind.
    """
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    private_name, public_name = os.fspath(private_path), os.fspath(public_path)
    if os.path.abspath(private_name) == os.path.abspath(public_name):
        raise UsageError(f"the private and the public key need two files, not {private_name} twice")
    if passphrase is not None and not 0 < len(passphrase) <= limits.MAX_PASSPHRASE_BYTES:
        raise UsageError(
            f"a passphrase has 1 to {limits.MAX_PASSPHRASE_BYTES} bytes, not {len(passphrase)}"
        )
    shut = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    secret = key._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, shut)
    with ExitStack() as undo:
        write_new_file(private_name, secret, 0o600)
        undo.callback(remove_file, private_name)
        write_new_file(public_name, key.public_key.pem, 0o644)
        undo.pop_all()


def _ask(name: str, passphrase: AskSecret | None) -> bytes:
    if passphrase is None:
        raise KeyFileError(
            f"{name}: the private key is encrypted, and no passphrase is given", name
        )
    secret = passphrase(name)
    if not secret:
        raise KeyFileError(f"{name}: the private key is encrypted, and the passphrase empty", name)
    return secret


def public_key(key: ec.EllipticCurvePublicKey, name: str | None = None) -> PublicKey:
    """Wrap a key of ``cryptography``, which has been read elsewhere.

    Args:
        key: The key.
        name: Where it came from, for messages.

    Raises:
        KeyFileError: Its curve is not one of ``CURVES``.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return _named(key, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), name)


def _named(key: ec.EllipticCurvePublicKey, pem: bytes, name: str | None) -> PublicKey:
    """Wrap a key, given its text as well."""
    curve = _CURVE_BY_SEC_NAME.get(key.curve.name)
    where = "" if name is None else f"{name}: "
    if curve is None:
        raise KeyFileError(
            f"{where}the curve is {key.curve.name}; only {', '.join(CURVES)} are taken", name
        )
    return PublicKey(pem, curve, hashlib.sha256(pem).hexdigest(), key)


def _algorithm(curve: str) -> ec.ECDSA:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    digests = {"P-256": hashes.SHA256(), "P-384": hashes.SHA384(), "P-521": hashes.SHA512()}
    return ec.ECDSA(digests[curve])


def _private_key(key: ec.EllipticCurvePrivateKey, name: str | None) -> PrivateKey:
    return PrivateKey(public_key(key.public_key(), name), key)


def _not_a_public_key(labels: list[bytes]) -> str:
    if any(label.endswith(b"PRIVATE KEY") for label in labels):
        return "this is a private key; give the public one, and keep this one to yourself"
    if any(label.endswith(b"CERTIFICATE") for label in labels):
        return "this is a certificate, which this version cannot check; give a public key"
    if labels.count(_PUBLIC_LABEL) > 1:
        return "more than one public key in one file"
    return "not a PEM file with one PUBLIC KEY block"


def _not_a_private_key(labels: list[bytes]) -> str:
    if not labels:
        return "not a PEM file"
    if any(label.endswith(b"PRIVATE KEY") for label in labels):
        return "more than one private key in one file"
    if _PUBLIC_LABEL in labels:
        return "this is a public key; signing needs the private one"
    return "no private key in this file"


METHOD = SigningMethod(
    scheme="file",
    load_signer=load_private_key,
    load_verifier=load_public_key,
    files=lambda path: (path,),
)
