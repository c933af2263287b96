# SPDX-License-Identifier: Apache-2.0
"""Key references of certificates, and the files that they name."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pyhash import limits
from pyhash.errors import KeyFileError, UsageError
from pyhash.signing import (
    dump_bundle,
    key_files,
    load_bundle,
    load_signer,
    load_verifier,
    sign_payload,
    verify_envelope,
)
from pyhash.signing.certificate import CertificateVerifier, parse_time
from tests.support import authority
from tests.support.authority import DAY, IDENTITY, NOW, ca, crl, leaf, make_chain

ROOT = ca("root")
MIDDLE = ca("middle", ROOT, path_length=0)
CLEAN = [crl(MIDDLE), crl(ROOT)]


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_sign_and_verify_by_reference(tmp_path: Path, curve: ec.EllipticCurve) -> None:
    chain = make_chain(tmp_path, curve)
    signer = load_signer(chain.signer)
    bundle = load_bundle(dump_bundle(sign_payload(b"payload", signer)), "model.sig")
    assert bundle.material.certificates == (chain.leaf.der(), chain.middle.der())
    verified = verify_envelope(bundle, [load_verifier(chain.trust)])
    assert (verified.payload, verified.signer.name) == (b"payload", IDENTITY)
    assert verified.signer.issuer == "CN=root"
    assert verified.signer.fingerprint == signer.hint
    assert set(key_files(chain.signer)) == {
        *map(str, (chain.key_file, chain.leaf_file, chain.middle_file))
    }
    assert key_files(chain.trust) == (str(chain.root_file),)


def test_root_and_doubles_are_left_out(tmp_path: Path) -> None:
    chain = make_chain(tmp_path)
    reference = f"{chain.signer};chain={chain.root_file};chain={chain.leaf_file}"
    material = sign_payload(b"x", load_signer(reference)).material
    assert material.certificates == (chain.leaf.der(), chain.middle.der())


def test_key_of_another_certificate(tmp_path: Path) -> None:
    chain = make_chain(tmp_path / "a")
    other = make_chain(tmp_path / "b")
    with pytest.raises(UsageError, match="certificate of another key"):
        load_signer(f"certificate:key={other.key_file};leaf={chain.leaf_file}")


def test_signing_with_what_everybody_refuses(tmp_path: Path) -> None:
    old = leaf(ROOT, end=NOW - DAY / 2)
    (tmp_path / "leaf.pem").write_bytes(old.pem())
    key = authority.write_key(tmp_path / "key", old.key)
    with pytest.raises(KeyFileError, match=r"every verifier would refuse it.*expired"):
        load_signer(f"certificate:key={key};leaf={tmp_path / 'leaf.pem'}")


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("identity=a", "no root is named"),
        ("root={root}", "say who may sign"),
        ("root={root};identity=a;any-identity=yes", "say who may sign"),
        ("root={root};any-identity=no", "say who may sign"),
        ("root={root};identity=a;identity=b", "identity is there 2 times"),
        ("root={root};identity=", "identity has no value"),
        ("root={root};identity", "identity has no value"),
        ("root={root};identity=a;color=red", "no such parameter: 'color'"),
        ("root={root};identity=100%", "begins no escape"),
        ("root={root};identity=a;at=yesterday", "no time with a zone"),
        ("root={root};identity=a;at=2026-01-01T00:00:00", "no time with a zone"),
    ],
)
def test_references_that_make_no_sense(tmp_path: Path, rest: str, message: str) -> None:
    (tmp_path / "root").write_bytes(ROOT.pem())
    with pytest.raises(UsageError, match=message):
        load_verifier("certificate:" + rest.format(root=tmp_path / "root"))


def test_reference_without_a_leaf(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leaf is missing"):
        load_signer(f"certificate:key={tmp_path}")


def test_time_and_escapes(tmp_path: Path) -> None:
    (tmp_path / "a;b").write_bytes(ROOT.pem())
    reference = f"certificate:root={tmp_path}/a%3Bb;any-identity=yes;at=2026-01-31T12:00:00Z"
    verifier = load_verifier(reference)
    assert isinstance(verifier, CertificateVerifier)
    assert verifier.at == datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
    assert parse_time("2026-01-31T12:00:00+01:00").hour == 12
    assert "any certificate under 'CN=root'" in verifier.hint


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "certificates alone"),
        (b"-----BEGIN PRIVATE KEY-----\n", "certificates alone"),
        (ROOT.pem() * (limits.MAX_CERTIFICATES + 1), "17 certificates, above the cap of 16"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be decoded"),
    ],
)
def test_files_that_hold_something_else(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "root").write_bytes(data)
    with pytest.raises(KeyFileError, match=message):
        load_verifier(f"certificate:root={tmp_path / 'root'};any-identity=yes")


def test_sixteen_certificates_are_read(tmp_path: Path) -> None:
    (tmp_path / "root").write_bytes(ROOT.pem() * limits.MAX_CERTIFICATES)
    load_verifier(f"certificate:root={tmp_path / 'root'};any-identity=yes")


@pytest.mark.parametrize("as_text", [True, False])
def test_list_files(tmp_path: Path, as_text: bool) -> None:
    (tmp_path / "root").write_bytes(ROOT.pem())
    data = CLEAN[1] if as_text else x509.load_pem_x509_crl(CLEAN[1]).public_bytes(Encoding.DER)
    (tmp_path / "crl").write_bytes(data)
    reference = f"certificate:root={tmp_path / 'root'};any-identity=yes;crl={tmp_path / 'crl'}"
    load_verifier(reference)
    assert str(tmp_path / "crl") in key_files(reference)
    (tmp_path / "crl").write_bytes(data[:-40])
    with pytest.raises(KeyFileError, match="cannot be decoded"):
        load_verifier(reference)


def test_list_files_have_a_cap_of_their_own(tmp_path: Path) -> None:
    """Lists are larger than keys may be."""
    (tmp_path / "root").write_bytes(ROOT.pem())
    large = authority.crl(ROOT, range(1, 2500))
    assert len(large) > limits.MAX_KEY_FILE_BYTES
    (tmp_path / "crl").write_bytes(large)
    reference = f"certificate:root={tmp_path / 'root'};any-identity=yes;crl={tmp_path / 'crl'}"
    load_verifier(reference)
    with (tmp_path / "crl").open("r+b") as file:
        file.truncate(limits.MAX_CRL_BYTES + 1)
    with pytest.raises(KeyFileError, match=f"larger than {limits.MAX_CRL_BYTES} bytes"):
        load_verifier(reference)
