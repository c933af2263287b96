# SPDX-License-Identifier: Apache-2.0
"""Certificates: which paths are accepted, which are refused and why; revocation; names; time."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from pyhash.errors import SignatureError
from pyhash.signing import (
    Envelope,
    Material,
)
from pyhash.signing.certificate import CertificateVerifier
from pyhash.signing.dsse import PAYLOAD_TYPE, pae
from pyhash.signing.revocation import check_not_revoked
from tests.support import authority
from tests.support.authority import DAY, IDENTITY, NOW, Holder, ca, crl, leaf

NO_DIGEST = authority.NO_DIGEST
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


def test_ed25519_authority_and_other_curves() -> None:
    """No digest is chosen there; another curve of its kind is not taken."""

    def under(key: Any) -> str:
        issuer = ca("edwards", ROOT, key=key)
        end = leaf(Holder(key, issuer.certificate), digest=NO_DIGEST)
        return check(end, [issuer])

    assert under(ed25519.Ed25519PrivateKey.generate()) == IDENTITY
    with pytest.raises(SignatureError, match="kind or size"):
        under(ed448.Ed448PrivateKey.generate())


def test_path_of_sixteen_and_of_seventeen() -> None:
    """The root and the leaf count too."""
    chain = [ca("1", ROOT)]
    for number in range(2, 16):
        chain.append(ca(str(number), chain[-1]))
    assert check(leaf(chain[13]), chain) == IDENTITY
    with pytest.raises(SignatureError, match="nothing leads"):
        check(leaf(chain[14]), chain)


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
    "entry that is not understood": (
        [
            crl(MIDDLE, [1], entry=(x509.CRLReason(x509.ReasonFlags.key_compromise), True)),
            crl(ROOT),
        ],
        "an entry has a critical extension",
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


def test_root_without_key_usage_signs_no_lists() -> None:
    """It cannot issue either, so the path fails first; the list is looked at by itself."""
    bare = authority.make("bare")
    with pytest.raises(SignatureError, match="cRLSign"):
        check_not_revoked(
            [LEAF.certificate, bare.certificate], [x509.load_pem_x509_crl(crl(bare))], NOW
        )
    strange = ca("strange", ROOT, key=ed448.Ed448PrivateKey.generate())
    listed = x509.load_pem_x509_crl(crl(strange, signer=ROOT.key))
    with pytest.raises(SignatureError, match="kind that is not taken"):
        check_not_revoked([LEAF.certificate, strange.certificate], [listed], NOW)
