# SPDX-License-Identifier: Apache-2.0
"""The table of signing methods, and the two functions that turn a key reference into a key.

A reference is ``scheme:rest`` where the scheme is in the table, and otherwise the path of a PEM
file. Adding a method is one file here and one line in ``_METHODS``.
"""

from __future__ import annotations

import importlib
import os

from pyhash.signing._base import (
    KEY,
    AskSecret,
    Identity,
    Material,
    Sealed,
    Signer,
    SigningMethod,
    Verifier,
)
from pyhash.signing.bundle import Bundle, dump_bundle, load_bundle
from pyhash.signing.dsse import PAYLOAD_TYPE, Envelope
from pyhash.signing.envelope import (
    VerifiedPayload,
    distinct_signers,
    sign_payload,
    verify_cosignatures,
    verify_envelope,
)

__all__ = [
    "KEY",
    "PAYLOAD_TYPE",
    "AskSecret",
    "Bundle",
    "Envelope",
    "Identity",
    "Material",
    "Sealed",
    "Signer",
    "VerifiedPayload",
    "Verifier",
    "distinct_signers",
    "dump_bundle",
    "key_files",
    "load_bundle",
    "load_signer",
    "load_verifier",
    "sign_payload",
    "verify_cosignatures",
    "verify_envelope",
]

_DEFAULT_SCHEME = "file"
# scheme -> module here that has it as ``METHOD``; imported when it is used, as most never are
_METHODS = {
    _DEFAULT_SCHEME: "ecdsa",
    "certificate": "certificate",
    "pkcs11": "pkcs11",
    "sigstore": "sigstore",
}


def load_signer(
    reference: str | os.PathLike[str], *, passphrase: AskSecret | None = None
) -> Signer:
    """Load what can sign. Safe to call from any thread.

    Args:
        reference: A path, or ``scheme:rest`` with a scheme of the table.
        passphrase: Asked for the secret that opens the key, when it needs one.

    Returns:
        The signer.

    Raises:
        KeyFileError: The key cannot be read, is of a kind we do not take, or must not be used.
    """
    method, rest = _split(reference)
    return method.load_signer(rest, passphrase)


def load_verifier(reference: str | os.PathLike[str]) -> Verifier:
    """Load what can check signatures. Safe to call from any thread.

    Args:
        reference: A path, or ``scheme:rest`` with a scheme of the table.

    Returns:
        The verifier.

    Raises:
        KeyFileError: The key cannot be read, or is of a kind we do not take.
    """
    method, rest = _split(reference)
    return method.load_verifier(rest)


def key_files(reference: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the files that a key reference names, none of which may lie in a checkpoint.

    Args:
        reference: As for ``load_signer`` and ``load_verifier``.

    Raises:
        UsageError: The reference makes no sense.
    """
    method, rest = _split(reference)
    return method.files(rest)


def _split(reference: str | os.PathLike[str]) -> tuple[SigningMethod, str]:
    text = os.fspath(reference)
    scheme, colon, rest = text.partition(":")
    if isinstance(reference, str) and colon and scheme in _METHODS:
        return _method(scheme), rest
    return _method(_DEFAULT_SCHEME), text  # a path, colons and all


def _method(scheme: str) -> SigningMethod:
    module = importlib.import_module(f"pyhash.signing.{_METHODS[scheme]}")
    method: SigningMethod = module.METHOD
    return method
