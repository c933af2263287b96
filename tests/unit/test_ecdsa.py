# SPDX-License-Identifier: Apache-2.0
"""ECDSA keys: NIST and DSSE vectors, hostile signatures. Files are in test_key_files.py."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from pyhash.errors import KeyFileError, SignatureError, UsageError
from pyhash.signing import load_signer, load_verifier
from pyhash.signing.dsse import PAYLOAD_TYPE, pae
from pyhash.signing.ecdsa import (
    CURVES,
    generate_key,
    load_public_key,
    write_key_pair,
)

_OMS = Path(__file__).resolve().parents[1] / "vectors" / "oms"
_NIST_CURVES = {
    "P-256,SHA-256": ec.SECP256R1(),
    "P-384,SHA-384": ec.SECP384R1(),
    "P-521,SHA-512": ec.SECP521R1(),
}
# Order of P-256 (SEC 2, 2.4.2).
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

_PEM = serialization.Encoding.PEM
_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


@pytest.fixture(scope="module")
def other() -> ec.EllipticCurvePrivateKey:
    """A P-256 key that was not made by the code under test."""
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def pem_file(tmp_path: Path) -> Callable[..., Path]:
    def write(data: bytes, mode: int = 0o600) -> Path:
        path = tmp_path / "key.pem"
        path.write_bytes(data)
        path.chmod(mode)
        return path

    return write


def _public_pem(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(_PEM, _SPKI)


# --- published vectors ------------------------------------------------------------------------


def _nist_cases() -> Iterator[tuple[str, dict[str, str]]]:
    """SigVer of NIST CAVP 186-3, for the three pairs of curve and digest that we have."""
    folder = os.path.join("asymmetric", "ECDSA", "FIPS_186-3")
    with cryptography_vectors.open_vector_file(os.path.join(folder, "SigVer.rsp"), "r") as lines:
        pair, case = "", {}
        for line in lines:
            text = line.strip()
            if text.startswith("["):
                pair = text[1:-1]
            name, _, value = text.partition(" = ")
            case[name] = value
            if name == "Result":
                if pair in _NIST_CURVES:
                    yield pair, case
                case = {}


_NIST = list(_nist_cases())


def test_there_are_nist_cases() -> None:
    assert len(_NIST) == 45
    assert {case["Result"][0] for _, case in _NIST} == {"P", "F"}


@pytest.mark.parametrize(("pair", "case"), _NIST, ids=[f"{n}" for n in range(len(_NIST))])
def test_nist(pair: str, case: dict[str, str], pem_file: Callable[..., Path]) -> None:
    x, y, r, s = (int(case[name], 16) for name in ("Qx", "Qy", "R", "S"))
    numbers = ec.EllipticCurvePublicNumbers(x, y, _NIST_CURVES[pair])
    key = load_public_key(pem_file(_public_pem(numbers.public_key())))
    assert key.curve == pair.split(",")[0]
    signature = encode_dss_signature(r, s)
    if case["Result"].startswith("P"):
        key.verify(bytes.fromhex(case["Msg"]), signature)
    else:
        with pytest.raises(SignatureError):
            key.verify(bytes.fromhex(case["Msg"]), signature)


def test_dsse_vector(pem_file: Callable[..., Path]) -> None:
    """DSSE protocol, "Test Vectors"; the signature there is r and s, 32 bytes each."""
    numbers = ec.EllipticCurvePublicNumbers(
        46950820868899156662930047687818585632848591499744589407958293238635476079160,
        5640078356564379163099075877009565129882514886557779369047442380624545832820,
        ec.SECP256R1(),
    )
    raw = base64.b64decode(
        "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
    )
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    key = load_public_key(pem_file(_public_pem(numbers.public_key())))
    key.verify(pae("http://example.com/HelloWorld", b"hello world"), encode_dss_signature(r, s))


def test_oms_vector() -> None:
    key = load_public_key(_OMS / "tiny-model.pub")
    assert key.pem == (_OMS / "tiny-model.pub").read_bytes()
    assert key.hint == "3478c9e99c2c2056c2d5a8b17ee35f495d9986fd150dd651b04f644460bf2464"
    assert key.curve == "P-256"
    message = pae(PAYLOAD_TYPE, (_OMS / "tiny-model.statement.json").read_bytes())
    signature = base64.b64decode(
        "MEYCIQDvkAsJNlfNfHOqsl7Hi55RD+h/rah5W/nDrvKtpcwp6QIhALOXUQ3l8yVsoBV+iaXqIBrFb28eiT4qDhI+"
        "CrzQT/Rp"
    )
    key.verify(message, signature)
    with pytest.raises(SignatureError):
        key.verify(message + b" ", signature)


# --- signatures -------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", CURVES)
def test_sign_and_verify(curve: str) -> None:
    key = generate_key(curve)
    signature = key.sign(b"message")
    key.public_key.verify(b"message", signature)
    for message, made, checker in (
        (b"massage", signature, key.public_key),
        (b"", signature, key.public_key),
        (b"message", signature, generate_key(curve).public_key),
        (b"message", key.sign(b"massage"), key.public_key),
    ):
        with pytest.raises(SignatureError, match=checker.hint):
            checker.verify(message, made)


@pytest.mark.parametrize("curve", CURVES)
def test_signature_is_what_others_check(curve: str) -> None:
    digests = {"P-256": hashes.SHA256(), "P-384": hashes.SHA384(), "P-521": hashes.SHA512()}
    key = generate_key(curve)
    foreign = serialization.load_pem_public_key(key.public_key.pem)
    assert isinstance(foreign, ec.EllipticCurvePublicKey)
    foreign.verify(key.sign(b"message"), b"message", ec.ECDSA(digests[curve]))


@pytest.mark.parametrize("digest", [hashes.SHA1(), hashes.SHA384(), hashes.SHA512()])
def test_other_digests_are_refused(
    digest: hashes.HashAlgorithm,
    other: ec.EllipticCurvePrivateKey,
    pem_file: Callable[..., Path],
) -> None:
    key = load_public_key(pem_file(_public_pem(other.public_key())))
    with pytest.raises(SignatureError):
        key.verify(b"message", other.sign(b"message", ec.ECDSA(digest)))


def _der_cases() -> list[tuple[str, bytes]]:
    half = b"\x02\x20" + b"\x11" * 32
    good = b"\x30\x44" + half + half
    return [
        ("empty", b""),
        ("raw r and s", b"\x11" * 64),
        ("trailing byte", good + b"\0"),
        ("trailing byte inside", b"\x30\x45" + half + half + b"\0"),
        ("cut", good[:-1]),
        ("long form of length", b"\x30\x81\x44" + half + half),
        ("indefinite length", b"\x30\x80" + half + half + b"\0\0"),
        ("padded integer", b"\x30\x45\x02\x21\x00" + b"\x11" * 32 + half),
        ("negative integer", b"\x30\x44\x02\x20" + b"\x91" * 32 + half),
        ("empty integer", b"\x30\x24\x02\x00" + half),
        ("set, not sequence", b"\x31\x44" + half + half),
        ("huge length", b"\x30\x84\xff\xff\xff\xff" + half),
        ("one integer", b"\x30\x22" + half),
        ("three integers", b"\x30\x66" + half * 3),
    ]


@pytest.mark.parametrize(("name", "signature"), _der_cases())
def test_strange_der_is_refused(name: str, signature: bytes) -> None:
    key = load_public_key(_OMS / "tiny-model.pub")
    with pytest.raises(SignatureError):
        key.verify(b"message", signature)


def test_strange_numbers_are_refused(other: ec.EllipticCurvePrivateKey, tmp_path: Path) -> None:
    """Zero, the order and beyond, for r and s (SEC 1, 4.1.4 step 1)."""
    path = tmp_path / "key.pub"
    path.write_bytes(_public_pem(other.public_key()))
    key = load_public_key(path)
    for r in (0, 1, _ORDER - 1, _ORDER, _ORDER + 1, 1 << 256):
        for s in (0, 1, _ORDER - 1, _ORDER, _ORDER + 1, 1 << 256):
            with pytest.raises(SignatureError):
                key.verify(b"message", encode_dss_signature(r, s))


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_as_a_signature(signature: bytes) -> None:
    key = load_public_key(_OMS / "tiny-model.pub")
    with pytest.raises(SignatureError):
        key.verify(b"message", signature)


# --- keys -------------------------------------------------------------------------------------


def test_keys_compare_and_hide_their_secret(tmp_path: Path) -> None:
    key = generate_key()
    write_key_pair(key, tmp_path / "key", tmp_path / "key.pub")
    again = load_public_key(tmp_path / "key.pub")
    assert again == key.public_key
    assert len({again, key.public_key, generate_key().public_key}) == 2
    assert key.public_key.curve == "P-256"
    secret = key._key.private_numbers().private_value
    assert str(secret) not in repr(key)
    assert f"{secret:x}" not in repr(key)
    assert repr(key).count("object at") == 0


def test_hint_is_the_digest_of_the_pem_text(tmp_path: Path) -> None:
    key = generate_key("P-384")
    write_key_pair(key, tmp_path / "key", tmp_path / "key.pub")
    text = (tmp_path / "key.pub").read_bytes()
    assert text.startswith(b"-----BEGIN PUBLIC KEY-----\n")
    assert text.endswith(b"\n-----END PUBLIC KEY-----\n")
    assert max(len(line) for line in text.splitlines()) == 64
    assert key.hint == key.public_key.hint == hashlib.sha256(text).hexdigest()


def test_hint_does_not_depend_on_how_the_file_is_written(pem_file: Callable[..., Path]) -> None:
    pem = (_OMS / "tiny-model.pub").read_bytes()
    for spelling in (pem.replace(b"\n", b"\r\n"), b"my key\n\n" + pem, pem.rstrip()):
        assert load_public_key(pem_file(spelling)).pem == pem


def test_unknown_curve() -> None:
    with pytest.raises(UsageError, match=r"'P-224'.*P-256, P-384, P-521"):
        generate_key("P-224")


def test_references_to_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    key = generate_key()
    write_key_pair(key, "a:key", "a:key.pub")
    for reference in ("file:a:key", "a:key", Path("a:key"), tmp_path / "a:key"):
        assert load_signer(reference).hint == key.hint
    for reference in ("file:a:key.pub", "a:key.pub", Path("a:key.pub")):
        assert load_verifier(reference).hint == key.hint
    with pytest.raises(KeyFileError, match="file:a:key: cannot be read"):
        load_signer(Path("file:a:key"))


def test_cryptography_is_not_imported_before_it_is_needed() -> None:
    script = "import sys, pyhash.signing, pyhash.policy; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"False\n"
