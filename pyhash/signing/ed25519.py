# SPDX-License-Identifier: Apache-2.0
"""Ed25519 over raw keys (RFC 8032), for the notes of transparency logs. Never for a bundle.

No files and no names: ``pyhash.log.note_keys`` reads and writes the keys. ``cryptography`` is
imported inside the functions, because ``pyhash --help`` must not wait for it.
"""

from __future__ import annotations

from pyhash.errors import SignatureError

PUBLIC_KEY_BYTES = 32


def generate_seed() -> bytes:
    """Return a new private key, 32 bytes from the system's random source. Raises nothing."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes_raw()


def public_key(seed: bytes) -> bytes:
    """Return the public half of a private key.

    Args:
        seed: 32 bytes.

    Returns:
        32 bytes.

    Raises:
        ValueError: The seed has another length.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign(seed: bytes, message: bytes) -> bytes:
    """Sign a message; the same message always gets the same signature.

    Args:
        seed: 32 bytes.
        message: The exact bytes to sign.

    Returns:
        64 bytes.

    Raises:
        ValueError: The seed has another length.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Check a signature; return nothing when it holds.

    Args:
        public: 32 bytes.
        message: The exact bytes that were signed.
        signature: What is to be checked, of any length.

    Raises:
        SignatureError: This key did not make this signature over these bytes, or is no key.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise SignatureError("the Ed25519 signature does not hold for this key") from None
