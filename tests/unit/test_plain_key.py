# SPDX-License-Identifier: Apache-2.0
"""Public keys in their usual text, read without the library's reader, and what is left to it.

The library's own reader and writer say what is right.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from hypothesis import example, given
from hypothesis import strategies as st

from pyhash.errors import KeyFileError, SignatureError
from pyhash.signing.ecdsa import load_public_key
from pyhash.signing.plain_key import algorithm_to_verify, load_plain_key

CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
DIGESTS = {"P-256": hashes.SHA256(), "P-384": hashes.SHA384(), "P-521": hashes.SHA512()}


def pem_of(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def armoured(der: bytes) -> bytes:
    text = base64.b64encode(der)
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN PUBLIC KEY-----", *lines, b"-----END PUBLIC KEY-----", b""])


@pytest.mark.parametrize("curve", CURVES)
def test_the_same_key_as_the_library_reads(curve: str, tmp_path: Path) -> None:
    private = ec.generate_private_key(CURVES[curve])
    pem = pem_of(private.public_key())
    found = load_plain_key(pem)
    assert found is not None
    assert found.public_numbers() == private.public_key().public_numbers()
    (tmp_path / "k.pub").write_bytes(pem)
    key = load_public_key(tmp_path / "k.pub")
    assert (key.pem, key.curve, key.hint) == (pem, curve, hashlib.sha256(pem).hexdigest())
    signature = private.sign(b"message", ec.ECDSA(DIGESTS[curve]))
    key.verify(b"message", signature)
    for message, wrong in ((b"other", signature), (b"message", signature[:-1] + b"\0"), (b"", b"")):
        with pytest.raises(SignatureError):
            key.verify(message, wrong)


@pytest.mark.parametrize("curve", CURVES)
def test_the_digest_of_the_curve_and_nothing_else(curve: str) -> None:
    algorithm = algorithm_to_verify(curve)
    assert algorithm.algorithm.name == DIGESTS[curve].name
    assert not algorithm.deterministic_signing
    private = ec.generate_private_key(CURVES[curve])
    for other, digest in DIGESTS.items():
        signature = private.sign(b"message", ec.ECDSA(digest))
        refused = False
        try:
            private.public_key().verify(signature, b"message", algorithm)
        except InvalidSignature:
            refused = True
        assert refused == (other != curve)


def test_every_other_text_is_left_to_the_library(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = pem_of(key)
    compressed = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    short = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + compressed
    usual = {
        "CRLF": pem.replace(b"\n", b"\r\n"),
        "blank line before": b"\n" + pem,
        "text before": b"a key\n" + pem,
        "compressed": armoured(short),
    }
    for name, text in usual.items():
        assert load_plain_key(text) is None, name
        numbers = load_pem_public_key(text).public_numbers()  # type: ignore[union-attr]
        assert numbers == key.public_numbers()
        (tmp_path / "k.pub").write_bytes(text)
        assert load_public_key(tmp_path / "k.pub").pem == pem, name


def test_a_point_beside_the_curve_is_no_key(tmp_path: Path) -> None:
    pem = pem_of(ec.generate_private_key(ec.SECP256R1()).public_key())
    der = bytearray(base64.b64decode(b"".join(pem.splitlines()[1:-1])))
    der[-1] ^= 1
    for bad in (bytes(der), bytes(der[:26]) + b"\4" + bytes(64)):
        assert load_plain_key(armoured(bad)) is None
        (tmp_path / "k.pub").write_bytes(armoured(bad))
        with pytest.raises(KeyFileError, match="cannot be decoded"):
            load_public_key(tmp_path / "k.pub")
    hybrid = bytearray(der)
    hybrid[26] = 6
    assert load_plain_key(armoured(bytes(hybrid))) is None


_KEY = ec.derive_private_key(7, ec.SECP256R1()).public_key()


@given(st.integers(0, 90), st.integers(1, 255))
@example(0, 1)
def test_what_is_read_is_what_the_library_reads(place: int, change: int) -> None:
    der = bytearray(_KEY.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    der[place] ^= change
    text = armoured(bytes(der))
    found = load_plain_key(text)
    if found is not None:
        theirs = load_pem_public_key(text)
        assert isinstance(theirs, ec.EllipticCurvePublicKey)
        assert found.public_numbers() == theirs.public_numbers()
        assert pem_of(theirs) == text


@given(st.binary(max_size=300))
def test_nothing_else_is_a_key(data: bytes) -> None:
    assert load_plain_key(data) is None
    assert load_plain_key(armoured(data)) is None


def test_a_signature_is_checked_without_what_reads_other_keys(tmp_path: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "k.pub").write_bytes(pem_of(private.public_key()))
    (tmp_path / "sig").write_bytes(private.sign(b"message", ec.ECDSA(hashes.SHA256())))
    program = """
import pathlib, sys
from pyhash.signing.ecdsa import load_public_key
key = load_public_key("k.pub")
key.verify(b"message", pathlib.Path("sig").read_bytes())
heavy = ("cryptography.x509", "serialization.ssh", "ciphers.base", "openssl.backend")
print([name for name in sys.modules if name.endswith(heavy)])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
