# SPDX-License-Identifier: Apache-2.0
"""Bundles that model-signing wrote before version 1.1; read only where the caller asks for it.

Versions 0.3.1 to 1.0 put the public key itself into the bundle. Version 0.2 also signed an encoding
that was meant to be DSSE and is not: the payload stands in it as Python shows bytes. Such a
signature is not told apart from other things a key may have signed as DSSE tells them apart, and
what it is over says less (no sizes, no record of what was left out).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pyhash import limits
from pyhash.errors import SignatureError
from pyhash.signing._base import Identity, Material, Verifier
from pyhash.signing.certificate import CertificateVerifier
from pyhash.signing.dsse import Envelope
from pyhash.signing.ecdsa import PublicKey
from pyhash.strict_json import load_json

# What old bundles have beside the key's name. The key inside is never used: who can change a bundle
# can change it.
OLD_KEY_FIELDS = ("rawBytes", "keyDetails")
_PAE = re.compile(rb"DSSEv1 ([0-9]+ [!-~]+ [0-9]+) (.*)", re.DOTALL)


def modernize_bundle(data: bytes, path: str) -> bytes:
    """Return a bundle without what old versions wrote into it; any other bundle as it is.

    Args:
        data: The whole file.
        path: Where it came from, for messages.

    Returns:
        A bundle for ``load_bundle``, which checks all the rest. The payload is not touched.

    Raises:
        FormatError, LimitError: Not JSON.
    """
    value = load_json(data, path=path, max_bytes=limits.MAX_BUNDLE_BYTES)
    material = value.get("verificationMaterial") if isinstance(value, dict) else None
    key = material.get("publicKey") if isinstance(material, dict) else None
    if not isinstance(key, dict) or not key.keys() & set(OLD_KEY_FIELDS):
        return data
    for name in OLD_KEY_FIELDS:
        key.pop(name, None)
    return json.dumps(value).encode("utf-8")


def accepting(keys: Sequence[Verifier]) -> tuple[Verifier, ...]:
    """Return verifiers that also take version 0.2's encoding, where that was ever signed: by plain
    keys and by certificates. Of any other kind nothing old is accepted. Raises nothing.
    """
    old = (PublicKey, CertificateVerifier)
    return tuple(HistoricalVerifier(key) if isinstance(key, old) else key for key in keys)


@dataclass(frozen=True, slots=True)
class HistoricalVerifier:
    """Who is trusted, also with signatures over version 0.2's encoding.

    Attributes:
        trusted: The key, or the certificates. Whatever is checked besides is checked of both.
    """

    trusted: PublicKey | CertificateVerifier

    @property
    def kind(self) -> str:
        """Of who is trusted. Raises nothing."""
        return self.trusted.kind

    @property
    def hint(self) -> str:
        """Of who is trusted. Raises nothing."""
        return self.trusted.hint

    def identify(self, envelope: Envelope, material: Material) -> Identity:
        """Check a signature over a DSSE message, or over what 0.2 made of it.

        Args:
            envelope: As for who is trusted.
            material: As for who is trusted.

        Raises:
            SignatureError: Neither holds; why is said of both where that differs.
        """
        try:
            return self.trusted.identify(envelope, material)
        except SignatureError as error:
            try:
                return self._identify_old(envelope, material)
            except SignatureError as other:
                if str(other) == str(error):
                    raise
                raise SignatureError(f"{error}; as version 0.2 signed: {other}") from None

    def _identify_old(self, envelope: Envelope, material: Material) -> Identity:
        message, signature = old_encoding(envelope.message), envelope.signatures[0]
        if isinstance(self.trusted, PublicKey):
            self.trusted.verify(message, signature)
            return Identity(self.kind, self.hint, self.hint)
        # With a certificate, version 0.2 took SHA-256 for every curve.
        return self.trusted.identify_signer(
            material, lambda key: key.verify(message, signature, with_sha256=True)
        )


def old_encoding(message: bytes) -> bytes:
    """Return what version 0.2 signed in place of a DSSE message.

    Raises:
        SignatureError: The message is none; nothing of it was signed then.
    """
    match = _PAE.fullmatch(message)
    if match is None:
        raise SignatureError("not a message of type and payload")
    return b"DSSEV1 " + match[1] + b" " + repr(match[2]).encode("ascii")
