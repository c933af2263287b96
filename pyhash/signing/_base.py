# SPDX-License-Identifier: Apache-2.0
"""What a signer and a verifier must be able to do, and the table entry that names a method.

No key handling, no file formats: those sit in one file for each method.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from pyhash.frozen import frozen
from pyhash.signing.dsse import Envelope

KEY, CERTIFICATE, SIGSTORE = "key", "certificate", "sigstore"

# Asks for the secret that opens a key: takes what it is for, for people; raises CheckError.
AskSecret: TypeAlias = Callable[[str], bytes]


@frozen
class Material:
    """What a bundle says, beside the signature, about who signed. Nothing of it is trusted.

    Attributes:
        kind: One of ``KEY``, ``CERTIFICATE`` and ``SIGSTORE``.
        hint: Only for a key: its digest, as the bundle claims; None when it does not say.
        certificates: Only for certificates: DER, the leaf first.
        document: Only for Sigstore: the whole ``verificationMaterial`` as JSON text.
    """

    kind: str = KEY
    hint: str | None = None
    certificates: tuple[bytes, ...] = ()
    document: str = ""


@frozen
class Identity:
    """Who signed, once that is proven. What policies compare and reports show.

    Attributes:
        kind: ``KEY``, ``CERTIFICATE`` or ``SIGSTORE``.
        name: For a key its hint; for a certificate the name in it that was asked for, or its
            subject; for Sigstore the identity in the certificate.
        fingerprint: 64 lowercase hex digits: the SHA-256 of the public key's PEM text, and so the
            same for a key alone and in a certificate. For Sigstore, whose keys live for minutes,
            a digest of issuer and name.
        issuer: Who vouches for the name: subject of the trusted root, or the OIDC issuer; empty
            for a key.
    """

    kind: str
    name: str
    fingerprint: str
    issuer: str = ""


@frozen
class Sealed:
    """What a signer makes of a payload.

    Attributes:
        signature: One signature over the encoded payload.
        material: What a verifier needs to know beside it.
    """

    signature: bytes
    material: Material


class Signer(Protocol):
    """Something that signs payloads it is given and never builds them. Immutable, thread-safe."""

    @property
    def hint(self) -> str:
        """Name of who signs: 64 lowercase hex digits, as ``Identity.fingerprint``."""

    def seal(self, payload: bytes) -> Sealed:
        """Sign a payload under ``dsse.PAYLOAD_TYPE``.

        Args:
            payload: The exact bytes of the statement.

        Raises:
            CheckError: The signer could not sign (a token that does not answer, for example).
        """


class Verifier(Protocol):
    """One trusted key or identity. Immutable, thread-safe."""

    @property
    def kind(self) -> str:
        """The kind of ``Material`` that this verifier can check. Raises nothing."""

    @property
    def hint(self) -> str:
        """Name of this verifier, for messages and for the hint of a bundle. Raises nothing."""

    def identify(self, envelope: Envelope, material: Material) -> Identity:
        """Check the one signature of an envelope and say who made it.

        Args:
            envelope: A payload with exactly one signature.
            material: What the bundle says about the signer; of this verifier's kind.

        Returns:
            The signer; never a guess.

        Raises:
            SignatureError: Whom this verifier trusts did not sign these bytes.
            DependencyError: A library is missing, so that nothing was found out.
        """


@frozen
class SigningMethod:
    """One line of the table in ``pyhash.signing``.

    Attributes:
        scheme: What stands before the colon of a key reference, for example ``file``.
        load_signer: Takes what stands after the colon and how to ask for a secret; raises
            KeyFileError.
        load_verifier: Takes what stands after the colon; raises KeyFileError.
        files: The files that a reference names, by what stands after the colon.
    """

    scheme: str
    load_signer: Callable[[str, AskSecret | None], Signer]
    load_verifier: Callable[[str], Verifier]
    files: Callable[[str], tuple[str, ...]]
