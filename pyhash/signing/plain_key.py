# SPDX-License-Identifier: Apache-2.0
"""ECDSA public keys in the one text that everybody writes: a point, uncompressed, behind its curve.

Importing what reads every kind of key takes longer than verifying by a receipt does, so that the
usual text has its own way. Only the point of it can be anything; whatever else differs from what
the key would be written as, were it a space, is left to ``ecdsa``.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

_COLUMNS = 64  # of PEM
_UNCOMPRESSED = 4  # first byte of the point: x and y follow (SEC 1, section 2.3.3)

# SEC's name of a curve -> (bytes of a coordinate, DER of SubjectPublicKeyInfo up to the point).
# RFC 5480: SEQUENCE { SEQUENCE { id-ecPublicKey, curve }, BIT STRING of whole bytes }.
_CURVES = {
    "secp256r1": (32, "3059301306072a8648ce3d020106082a8648ce3d030107034200"),
    "secp384r1": (48, "3076301006072a8648ce3d020106052b81040022036200"),
    "secp521r1": (66, "30819b301006072a8648ce3d020106052b8104002303818600"),
}


def load_plain_key(pem: bytes) -> ec.EllipticCurvePublicKey | None:
    """Read a public key that is written in the usual way. Safe to call from any thread.

    Args:
        pem: The whole text.

    Returns:
        The key, whose text is exactly ``pem``; None for every other text: then nothing is known
        of it. Raises nothing.
    """
    try:
        der = base64.b64decode(b"".join(pem.split(b"\n")[1:-2]), validate=True)
    except ValueError:
        return None
    if _as_pem(der) != pem:
        return None
    for name, (coordinate, prefix) in _CURVES.items():
        head = bytes.fromhex(prefix)
        point = der[len(head) :]
        if der.startswith(head) and len(point) == 1 + 2 * coordinate:
            return _on_curve(name, point) if point[0] == _UNCOMPRESSED else None
    return None


def _as_pem(der: bytes) -> bytes:
    text = base64.b64encode(der)
    lines = [text[start : start + _COLUMNS] for start in range(0, len(text), _COLUMNS)]
    return b"\n".join((b"-----BEGIN PUBLIC KEY-----", *lines, b"-----END PUBLIC KEY-----", b""))


def _on_curve(name: str, point: bytes) -> ec.EllipticCurvePublicKey | None:
    """The point as a key; None where it does not lie on the curve."""
    from cryptography.hazmat.primitives.asymmetric import ec

    curves: dict[str, ec.EllipticCurve] = {
        "secp256r1": ec.SECP256R1(),
        "secp384r1": ec.SECP384R1(),
        "secp521r1": ec.SECP521R1(),
    }
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(curves[name], point)
    except ValueError:
        return None


def algorithm_to_verify(curve: str) -> ec.ECDSA:
    """Return ECDSA with the digest that belongs to a curve, to check signatures with.

    The library's own constructor asks whether it can *sign* without random numbers, and imports
    all of its ciphers for the answer. What checks a signature takes no more than the digest.

    Args:
        curve: ``P-256``, ``P-384`` or ``P-521``.

    Returns:
        What ``EllipticCurvePublicKey.verify`` takes. Raises nothing.
    """
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    digests = {"P-256": hashes.SHA256(), "P-384": hashes.SHA384(), "P-521": hashes.SHA512()}

    class ToVerify(ec.ECDSA):
        """Holds a digest."""

        def __init__(self, digest: hashes.HashAlgorithm) -> None:
            self._digest = digest

        @property
        def algorithm(self) -> hashes.HashAlgorithm:
            """The digest. Raises nothing."""
            return self._digest

        @property
        def deterministic_signing(self) -> bool:
            """Whether it would sign without random numbers. Raises nothing."""
            return False

    return ToVerify(digests[curve])
