# SPDX-License-Identifier: Apache-2.0
"""Certificates at the edge of what is accepted: times, sizes, extensions, old versions."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from pyhash.errors import SignatureError, UsageError
from pyhash.signing import (
    Envelope,
    Material,
    load_signer,
    load_verifier,
    sign_payload,
    verify_envelope,
)
from pyhash.signing.certificate import CertificateVerifier, names_in
from pyhash.signing.certificate_path import check_leaf, find_path
from pyhash.signing.dsse import PAYLOAD_TYPE, pae
from pyhash.signing.references import parse_parameters
from tests.support import authority
from tests.support.authority import DAY, IDENTITY, NOW, ca, crl, leaf

SECOND = DAY / 86400
ROOT = ca("root")
SIGNS_CODE = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
NO_AUTHORITY = (x509.BasicConstraints(ca=False, path_length=None), True)


def changed(certificate: x509.Certificate, old: str, new: str) -> x509.Certificate:
    """Other bytes in the place of some that are there once; the signature no longer holds."""
    der = certificate.public_bytes(Encoding.DER)
    assert der.count(bytes.fromhex(old)) == 1
    return x509.load_der_x509_certificate(der.replace(bytes.fromhex(old), bytes.fromhex(new)))


def test_first_and_last_second() -> None:
    end = leaf(ROOT, begin=NOW, end=NOW + 9 * SECOND).certificate
    for when in (NOW, NOW + 9 * SECOND):
        check_leaf(end, when)
    with pytest.raises(SignatureError, match="not valid before"):
        check_leaf(end, NOW - SECOND)
    with pytest.raises(SignatureError, match="expired at"):
        check_leaf(end, NOW + 10 * SECOND)


def rsa_leaf(bits: int) -> x509.Certificate:
    """With a public key of a size for which nobody has the time to make a private one."""
    modulus = random.Random(bits).getrandbits(bits) | 1 << bits - 1 | 1
    key = rsa.RSAPublicNumbers(65537, modulus).public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(authority.name("large"))
        .issuer_name(ROOT.certificate.subject)
        .public_key(key)
        .serial_number(1)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(*SIGNS_CODE)
    )
    return builder.sign(ROOT.key, hashes.SHA256())


@pytest.mark.parametrize(("bits", "taken"), [(2047, 0), (2048, 1), (16384, 1), (16385, 0)])
def test_sizes_of_rsa_keys(bits: int, taken: int) -> None:
    if taken:
        check_leaf(rsa_leaf(bits), NOW)
        return
    with pytest.raises(SignatureError, match="kind or size"):
        check_leaf(rsa_leaf(bits), NOW)


@pytest.mark.parametrize("more", [[], [NO_AUTHORITY]])
def test_purpose_alone_is_enough(more: list[tuple[x509.ExtensionType, bool]]) -> None:
    check_leaf(authority.make("bare", ROOT, extensions=[SIGNS_CODE, *more]).certificate, NOW)


def test_issuer_that_says_that_it_is_no_authority() -> None:
    """With the key usage of one."""
    usage = (authority.usage(authority.CA_USAGE), True)
    issuer = authority.make("a", ROOT, extensions=[NO_AUTHORITY, usage])
    with pytest.raises(SignatureError, match="is no authority"):
        find_path(leaf(issuer).certificate, [issuer.certificate], [ROOT.certificate], NOW)


def test_old_version() -> None:
    """Version 1, which is said by not saying it, and has no extensions; here it has."""
    der = leaf(ROOT).certificate.public_bytes(Encoding.DER)
    (outer, inner), version = (int.from_bytes(der[at : at + 2]) for at in (2, 6)), der[8:13]
    assert (der[:2], der[4:6], version.hex()) == (b"\x30\x82", b"\x30\x82", "a003020102")
    lengths = (outer - 5).to_bytes(2), (inner - 5).to_bytes(2)
    old = x509.load_der_x509_certificate(
        b"\x30\x82" + lengths[0] + b"\x30\x82" + lengths[1] + der[13:]
    )
    with pytest.raises(SignatureError, match="old version"):
        check_leaf(old, NOW)


def test_key_of_an_unknown_kind() -> None:
    """1.2.840.10045.2.1 is an elliptic curve; 2.127 is nothing."""
    end = changed(leaf(ROOT).certificate, "06072a8648ce3d0201", "06072a8648ce3d027f")
    with pytest.raises(SignatureError, match="has a key that is not understood"):
        check_leaf(end, NOW)


def identify(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> str:
    signature = key.sign(pae(PAYLOAD_TYPE, b"x"), ec.ECDSA(hashes.SHA256()))
    der = certificate.public_bytes(Encoding.DER)
    verifier = CertificateVerifier(None, None, (ROOT.certificate,))
    return verifier.identify(
        Envelope(b"x", PAYLOAD_TYPE, (signature,)), Material("certificate", certificates=(der,))
    ).name


@pytest.mark.filterwarnings("ignore:.*serial number")
def test_serial_numbers() -> None:
    end, head = leaf(ROOT, serial=1), "a0030201020201"  # version and head of the number
    assert identify(end.certificate, end.key) == IDENTITY
    for serial in ("00", "ff"):
        with pytest.raises(SignatureError, match="no positive serial number"):
            identify(changed(end.certificate, f"{head}01", f"{head}{serial}"), end.key)


def test_names_that_cannot_be_read() -> None:
    """A mail address that is not ASCII."""
    end = changed(leaf(ROOT).certificate, IDENTITY.encode().hex(), "ff" * len(IDENTITY))
    with pytest.raises(SignatureError, match=r"cannot be (read|decoded)"):
        names_in(end)


def test_names_of_other_kinds_are_not_names() -> None:
    names = x509.SubjectAlternativeName(
        [
            x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
            x509.DNSName("example.org"),
            x509.UniformResourceIdentifier("https://example.org/"),
        ]
    )
    end = leaf(ROOT, identity=None, more=[(names, False)])
    assert names_in(end.certificate) == ("example.org", "https://example.org/", "CN=publisher")
    assert identify(end.certificate, end.key) == "example.org"


@pytest.mark.parametrize(
    "rest", ["any-identity=no;identity=a", "any-identity=yes;any-identity=yes"]
)
def test_anybody_and_somebody(tmp_path: Path, rest: str) -> None:
    (tmp_path / "root").write_bytes(ROOT.pem())
    with pytest.raises(UsageError, match=r"say who may sign|is there 2 times"):
        load_verifier(f"certificate:root={tmp_path / 'root'};{rest}")


def test_revoked_by_a_list_in_a_file(tmp_path: Path) -> None:
    chain = authority.make_chain(tmp_path)
    bundle = sign_payload(b"x", load_signer(chain.signer))
    lists = []
    for number, serials in enumerate(((), (chain.leaf.certificate.serial_number,))):
        names = [tmp_path / f"{number}{which}.crl" for which in ("middle", "root")]
        names[0].write_bytes(crl(chain.middle, serials))
        names[1].write_bytes(crl(chain.root))
        lists.append("".join(f";crl={name}" for name in names))
    good, revoked = (load_verifier(chain.trust + one) for one in lists)
    assert verify_envelope(bundle, [good]).signer.name == IDENTITY
    with pytest.raises(SignatureError, match="is revoked"):
        verify_envelope(bundle, [revoked])


def test_file_names_that_are_no_text() -> None:
    """Bytes of a path, escaped or as they came from the command line."""
    given = parse_parameters("root=%ffa;root=\udcffa", ("root", "crl"), scheme="certificate")
    assert given == {"root": ("\udcffa", "\udcffa"), "crl": ()}
