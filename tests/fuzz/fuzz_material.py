# SPDX-License-Identifier: Apache-2.0
"""Fuzz target: certificates in bundles. Nothing may pass as signed but the bytes that were signed.

The first bytes of an input say how long the leaf is; the rest are intermediates.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from _harness import main

from pyhash.errors import SignatureError
from pyhash.signing import Envelope, Material
from pyhash.signing.certificate import CertificateVerifier
from pyhash.signing.dsse import PAYLOAD_TYPE, pae

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.authority import ca, leaf

MUTATIONS = 4000

_ROOT = ca("root")
_MIDDLE = ca("middle", _ROOT)
_LEAF = leaf(_MIDDLE)
_VERIFIER = CertificateVerifier("release@example.org", None, (_ROOT.certificate,))
_SIGNATURE = _LEAF.key.sign(pae(PAYLOAD_TYPE, b"x"), ec.ECDSA(hashes.SHA256()))

DICTIONARY = (
    b"\x30\x82", b"\x55\x1d\x13", b"\x55\x1d\x0f", b"\x55\x1d\x25", b"\x55\x1d\x11",
    b"\x01\x01\xff",
    b"\x2b\x06\x01\x05\x05\x07\x03\x03", b"\x06\x03", b"\x17\x0d491231235959Z", b"\x02\x01\x00",
)  # fmt: skip


def seeds() -> list[bytes]:
    """A good chain, and a leaf alone."""
    return [
        len(one).to_bytes(2, "big") + one + rest
        for one, rest in ((_LEAF.der(), _MIDDLE.der()), (_LEAF.der(), b""))
    ]


def one_input(data: bytes) -> None:
    """Check; whatever holds must be the very certificates of the chain."""
    length = int.from_bytes(data[:2], "big")
    chain = [data[2 : 2 + length], data[2 + length :]]
    certificates = tuple(filter(None, chain)) or (b"\0",)
    material = Material("certificate", certificates=certificates)
    try:
        with warnings.catch_warnings():
            # cryptography warns of serial numbers, which are refused behind that.
            warnings.simplefilter("ignore")
            _VERIFIER.identify(Envelope(b"x", PAYLOAD_TYPE, (_SIGNATURE,)), material)
    except SignatureError:
        return
    if certificates[:2] != (_LEAF.der(), _MIDDLE.der()):
        raise AssertionError(f"passed as certificates: {certificates!r}")


if __name__ == "__main__":
    main(one_input, seeds())
