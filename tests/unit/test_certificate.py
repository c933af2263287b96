# SPDX-License-Identifier: Apache-2.0
"""Certificates: which paths are accepted, which are refused and why; revocation; names; time."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from pyhash import limits
from pyhash.errors import KeyFileError, SignatureError, UsageError
from pyhash.signing import (
    Envelope,
    Material,
    dump_bundle,
    key_files,
    load_bundle,
    load_signer,
    load_verifier,
    sign_payload,
    verify_envelope,
)
from pyhash.signing.certificate import CertificateVerifier, parse_time
from pyhash.signing.dsse import PAYLOAD_TYPE, pae
from tests.support import authority
from tests.support.authority import DAY, IDENTITY, NOW, Holder, ca, crl, leaf, make_chain

ROOT = ca("root")
MIDDLE = ca("middle", ROOT, path_length=0)
LEAF = leaf(MIDDLE)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
CONSTRAINTS = x509.NameConstraints([x509.DNSName("example.org")], None)
SERVER, ANY = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


def check(
    end: Holder,
    others: Sequence[Holder] = (),
    roots: Sequence[Holder] = (ROOT,),
    *,
    at: datetime.datetime | None = None,
    identity: str | None = None,
    lists: Sequence[bytes] = (),
) -> str:
    """Verify a signature by the leaf; the name that was found."""
    signature = end.key.sign(pae(PAYLOAD_TYPE, b"x"), ec.ECDSA(hashes.SHA256()))
    verifier = CertificateVerifier(
        identity,
        at,
        tuple(one.certificate for one in roots),
        tuple(x509.load_pem_x509_crl(one) for one in lists),
    )
    chain = tuple(one.der() for one in (end, *others))
    material = Material("certificate", certificates=chain)
    return verifier.identify(Envelope(b"x", PAYLOAD_TYPE, (signature,)), material).name


def test_good_path() -> None:
    assert check(LEAF, [MIDDLE]) == IDENTITY


ACCEPTED: dict[str, Callable[[], object]] = {
    "straight under the root": lambda: check(leaf(ROOT)),
    "root in the bundle too": lambda: check(LEAF, [MIDDLE, ROOT]),
    "unneeded certificates": lambda: check(LEAF, [ca("stranger"), MIDDLE]),
    "authority as a trusted root": lambda: check(LEAF, roots=[MIDDLE]),
    "key usage alone": lambda: check(leaf(ROOT, purposes=())),
    "purpose of the authority": lambda: check(
        *(lambda one: (leaf(one), [one]))(
            ca("one", ROOT, more=[(x509.ExtendedKeyUsage([ANY]), False)])
        )
    ),
    "flag of an authority without its key usage": lambda: check(
        leaf(ROOT, more=[(x509.BasicConstraints(ca=True, path_length=None), True)])
    ),
    "extension that is not critical": lambda: check(leaf(ROOT, more=[(UNKNOWN, False)])),
}
OLD_ROOT = ca("old", begin=NOW - 99 * DAY)


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str) -> None:
    ACCEPTED[name]()


def test_leaf_that_is_itself_trusted() -> None:
    end = leaf(None)
    assert check(end, roots=[end]) == IDENTITY


def test_another_time_only_on_request() -> None:
    end = leaf(OLD_ROOT, begin=NOW - 9 * DAY, end=NOW - 8 * DAY)
    assert check(end, roots=[OLD_ROOT], at=NOW - 8.5 * DAY)
    with pytest.raises(SignatureError, match="expired at"):
        check(end, roots=[OLD_ROOT])


def below(issuer: Holder) -> tuple[Holder, list[Holder]]:
    return leaf(issuer), [issuer]


def weak_rsa() -> Holder:
    return ca("weak", ROOT, key=rsa.generate_private_key(65537, 1024))


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "self-signed stranger": (lambda: check(leaf(None)), "nothing leads from it"),
    "intermediate is missing": (lambda: check(LEAF), "nothing leads from it"),
    "root of the same name": (lambda: check(LEAF, [MIDDLE], [ca("root")]), "nothing leads"),
    "no root": (lambda: check(LEAF, [MIDDLE], []), "nothing leads"),
    "expired leaf": (lambda: check(leaf(ROOT, end=NOW - DAY / 2)), "expired at"),
    "leaf of tomorrow": (lambda: check(leaf(ROOT, begin=NOW + DAY)), "not valid before"),
    "expired authority": (lambda: check(*below(ca("a", ROOT, end=NOW - DAY / 2))), "expired at"),
    "expired root": (
        lambda: (lambda root: check(leaf(root), roots=[root]))(ca("r", end=NOW - DAY / 2)),
        "expired at",
    ),
    "authority of tomorrow": (lambda: check(*below(ca("a", ROOT, begin=NOW + DAY))), "not valid"),
    "leaf as an issuer": (lambda: check(*below(leaf(ROOT))), "is no authority"),
    "issuer without key usage": (
        lambda: check(*below(ca("a", ROOT, bits=("crl_sign",)))),
        "without the key usage keyCertSign",
    ),
    "issuer without any usage": (
        lambda: check(
            *below(
                authority.make(
                    "a",
                    ROOT,
                    extensions=[(x509.BasicConstraints(ca=True, path_length=None), True)],
                )
            )
        ),
        "without the key usage keyCertSign",
    ),
    "path too long": (
        lambda: (lambda two: check(leaf(two), [two, MIDDLE]))(ca("two", MIDDLE)),
        "allows 0 authorities below, not 1",
    ),
    "issuer for web servers": (
        lambda: check(*below(ca("a", ROOT, more=[(x509.ExtendedKeyUsage([SERVER]), False)]))),
        "for other purposes",
    ),
    "leaf for web servers": (lambda: check(leaf(ROOT, purposes=[SERVER])), "other purposes"),
    "leaf for any purpose": (lambda: check(leaf(ROOT, purposes=[ANY])), "other purposes"),
    "leaf that may not sign": (
        lambda: check(leaf(ROOT, bits=("key_agreement",))),
        "lacks digitalSignature",
    ),
    "leaf that issues": (
        lambda: check(leaf(ROOT, bits=("digital_signature", "key_cert_sign"))),
        "one of an authority",
    ),
    "leaf without any usage": (
        lambda: check(authority.make("bare", ROOT)),
        "does not say that it may sign",
    ),
    "leaf of an authority without usage": (
        lambda: check(
            authority.make(
                "bare",
                ROOT,
                extensions=[
                    (x509.BasicConstraints(ca=True, path_length=None), True),
                    (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
                ],
            )
        ),
        "one of an authority",
    ),
    "critical extension": (lambda: check(leaf(ROOT, more=[(UNKNOWN, True)])), "1.2.3.4"),
    "critical extension above": (
        lambda: check(*below(ca("a", ROOT, more=[(UNKNOWN, True)]))),
        "critical extension 1.2.3.4",
    ),
    "name constraints": (
        lambda: check(*below(ca("a", ROOT, more=[(CONSTRAINTS, False)]))),
        "name constraints",
    ),
    "weak key above": (lambda: check(*below(weak_rsa())), "kind or size"),
    "weak digest": (lambda: check(leaf(ROOT, digest=hashes.SHA224())), "too weak"),
    "other curve": (
        lambda: check(leaf(ROOT, key=ec.generate_private_key(ec.SECP256K1()))),
        "secp256k1",
    ),
    "other name": (lambda: check(LEAF, [MIDDLE], identity="other@example.org"), "not of"),
    "part of the name": (lambda: check(LEAF, [MIDDLE], identity="release"), "not of"),
    "name in other case": (lambda: check(LEAF, [MIDDLE], identity=IDENTITY.upper()), "not of"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    act, message = REFUSED[name]
    with pytest.raises(SignatureError, match=message):
        act()


def test_rsa_authority() -> None:
    strong = ca("strong", ROOT, key=rsa.generate_private_key(65537, 2048))
    assert check(*below(strong)) == IDENTITY


def test_names_that_go_in_circles_end() -> None:
    """Sixteen authorities of one name, each of which could have issued each other."""
    key = ec.generate_private_key(ec.SECP256R1())
    loop = [ca("loop", Holder(key, ca("loop", key=key).certificate), key=key) for _ in range(15)]
    with pytest.raises(SignatureError, match="more than 64 signatures"):
        check(leaf(loop[0]), loop)


@pytest.mark.parametrize("der", [b"\x00", b"\x30\x00", LEAF.der()[:-1], LEAF.der() + b"\0"])
def test_bytes_that_are_no_certificate(der: bytes) -> None:
    verifier = CertificateVerifier(None, None, (ROOT.certificate,))
    with pytest.raises(SignatureError, match="cannot be decoded"):
        verifier.identify(
            Envelope(b"x", PAYLOAD_TYPE, (b"x",)), Material("certificate", certificates=(der,))
        )


def test_signature_by_another_key() -> None:
    other = Holder(ec.generate_private_key(ec.SECP256R1()), LEAF.certificate)
    with pytest.raises(SignatureError, match="the signature is not one"):
        check(other, [MIDDLE])


def test_leaf_with_an_rsa_key() -> None:
    end = leaf(ROOT, key=rsa.generate_private_key(65537, 2048))
    verifier = CertificateVerifier(None, None, (ROOT.certificate,))
    with pytest.raises(SignatureError, match="no ECDSA key"):
        verifier.identify(
            Envelope(b"x", PAYLOAD_TYPE, (b"x",)),
            Material("certificate", certificates=(end.der(),)),
        )


# --- names ----------------------------------------------------------------------------------------


def test_subject_is_a_name_too() -> None:
    assert check(LEAF, [MIDDLE], identity="CN=publisher") == "CN=publisher"
    assert check(leaf(ROOT, identity=None)) == "CN=publisher"


# --- revocation -----------------------------------------------------------------------------------

SERIAL = LEAF.certificate.serial_number
CLEAN = [crl(MIDDLE), crl(ROOT)]


def test_lists_without_the_certificates() -> None:
    assert check(LEAF, [MIDDLE], lists=CLEAN) == IDENTITY


PARTIAL = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
REVOKED: dict[str, tuple[Sequence[bytes], str]] = {
    "leaf": ([crl(MIDDLE, [SERIAL]), crl(ROOT)], "publisher' is revoked"),
    "authority": (
        [crl(MIDDLE), crl(ROOT, [MIDDLE.certificate.serial_number])],
        "middle' is revoked",
    ),
    "no list of the issuer": ([crl(ROOT)], "there is none of its issuer"),
    "none for the authority": ([crl(MIDDLE)], "covers the certificate 'CN=middle'"),
    "out of date": (
        [crl(MIDDLE, begin=NOW - 3 * DAY, end=NOW - DAY), crl(ROOT)],
        "out of date",
    ),
    "from the future": ([crl(MIDDLE, begin=NOW + DAY, end=NOW + 2 * DAY), crl(ROOT)], "future"),
    "forged": (
        [crl(MIDDLE, signer=ec.generate_private_key(ec.SECP256R1())), crl(ROOT)],
        "signature does not hold",
    ),
    "partial": ([crl(MIDDLE, more=[(PARTIAL, True)]), crl(ROOT)], "only part"),
}


@pytest.mark.parametrize("name", REVOKED)
def test_revoked(name: str) -> None:
    lists, message = REVOKED[name]
    with pytest.raises(SignatureError, match=message):
        check(LEAF, [MIDDLE], lists=lists)


def test_second_list_of_an_issuer_counts_when_the_first_is_old() -> None:
    old = crl(MIDDLE, begin=NOW - 3 * DAY, end=NOW - DAY)
    assert check(LEAF, [MIDDLE], lists=[old, *CLEAN])
    with pytest.raises(SignatureError, match="revoked"):
        check(LEAF, [MIDDLE], lists=[old, crl(MIDDLE, [SERIAL]), crl(ROOT)])


def test_issuer_that_may_not_sign_lists() -> None:
    issuer = ca("a", ROOT, bits=("key_cert_sign",))
    with pytest.raises(SignatureError, match="cRLSign"):
        check(*below(issuer), lists=[crl(issuer), crl(ROOT)])


# --- references and files -------------------------------------------------------------------------


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
