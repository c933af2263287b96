# SPDX-License-Identifier: Apache-2.0
"""Is there a path of certificates from a leaf to a trusted root? RFC 5280, kept narrow.

Whatever this does not understand is refused: critical extensions, name constraints, weak
signatures. Web names play no part, so the checks are our own and not those of a browser; each
signature is checked by ``cryptography``. Reads no file and knows no bundle: certificates come here
decoded to the end, so that nothing in them turns out to be damaged.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from pyhash import limits
from pyhash.errors import SignatureError
from pyhash.strict_json import show

if TYPE_CHECKING:
    from cryptography import x509

Kind = TypeVar("Kind", bound="x509.ExtensionType")

MIN_RSA_BITS = 2048  # NIST SP 800-57 part 1: 112 bits of security
_MAX_RSA_BITS = 16384  # a larger key only costs time
_MAX_CHECKS = 64  # signatures that a search may check: names that go in circles end here


def find_path(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    when: datetime.datetime,
) -> tuple[x509.Certificate, ...]:
    """Return a valid path, leaf first and trusted root last. Pure, thread-safe.

    A leaf that is itself among the roots is a path of one.

    Args:
        leaf: What signed.
        others: What the bundle offers as intermediates; not trusted.
        roots: What the verifier trusts.
        when: The time at which every certificate must be valid.

    Raises:
        SignatureError: There is none; the message says why the best one fails.
    """
    reasons: list[str] = []
    for path in _candidates(leaf, others, roots):
        try:
            check_leaf(leaf, when)
            for below, certificate in enumerate(path[1:]):
                _check_issuer(certificate, path[1 : 1 + below], when)
        except SignatureError as error:
            reasons.append(str(error))
            continue
        return path
    why = "; ".join(dict.fromkeys(reasons)) or "nothing leads from it to a trusted root"
    raise SignatureError(f"the certificate {name_of(leaf)} is not accepted: {why}")


def check_leaf(certificate: x509.Certificate, when: datetime.datetime) -> None:
    """Check that a certificate may sign code, and not other certificates.

    Args:
        certificate: The leaf.
        when: The time at which it must be valid.

    Raises:
        SignatureError: It may not.
    """
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    _check_common(certificate, when)
    usage = _extension(certificate, x509.KeyUsage)
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    basic = _extension(certificate, x509.BasicConstraints)
    name = name_of(certificate)
    if usage is None and purposes is None:
        raise SignatureError(f"{name} does not say that it may sign (key usage, code signing)")
    if usage is not None and not usage.digital_signature:
        raise SignatureError(f"{name} may not sign: its key usage lacks digitalSignature")
    if purposes is not None and ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        raise SignatureError(f"{name} was issued for other purposes than code signing")
    # Whatever may issue certificates could name anybody.
    if usage.key_cert_sign if usage is not None else basic is not None and basic.ca:
        raise SignatureError(f"{name} is one of an authority, which issues and does not sign")


def name_of(certificate: x509.Certificate) -> str:
    """Return the subject for a message, escaped and cut. Raises nothing once it was read."""
    return show(certificate.subject.rfc4514_string() or "without a name")


def _candidates(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
) -> Iterator[tuple[x509.Certificate, ...]]:
    """Every chain of signatures that ends in a root, shortest first; bounded work."""
    if leaf in roots:
        yield (leaf,)
    checks = 0
    paths: list[tuple[x509.Certificate, ...]] = [(leaf,)]
    while paths:
        path = paths.pop(0)
        for issuer in (*roots, *others):
            if issuer in path or issuer.subject != path[-1].issuer:
                continue
            checks += 1
            if checks > _MAX_CHECKS:
                raise SignatureError(f"more than {_MAX_CHECKS} signatures between certificates")
            if not is_issued_by(path[-1], issuer):
                continue
            if issuer in roots:
                yield (*path, issuer)
            elif len(path) + 1 < limits.MAX_CERTIFICATES:
                paths.append((*path, issuer))


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether one certificate's name and signature are another's. Raises nothing."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False
    return True


def _check_issuer(
    certificate: x509.Certificate, below: Sequence[x509.Certificate], when: datetime.datetime
) -> None:
    """Check that a certificate may issue; ``below`` are the authorities between it and the leaf."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    _check_common(certificate, when)
    name = name_of(certificate)
    basic = _extension(certificate, x509.BasicConstraints)
    if basic is None or not basic.ca:
        raise SignatureError(f"{name} issued a certificate and is no authority")
    # A name that issues to itself (a key that was replaced) does not count: RFC 5280, 4.2.1.9.
    length = sum(one.subject != one.issuer for one in below)
    if basic.path_length is not None and length > basic.path_length:
        raise SignatureError(f"{name} allows {basic.path_length} authorities below, not {length}")
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None or not usage.key_cert_sign:
        raise SignatureError(f"{name} issued a certificate without the key usage keyCertSign")
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    good = (ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    if purposes is not None and not any(one in purposes for one in good):
        raise SignatureError(f"{name} is an authority for other purposes than code signing")


def _check_common(certificate: x509.Certificate, when: datetime.datetime) -> None:
    from cryptography import x509

    name = name_of(certificate)
    _check_time(certificate, when)
    known = (
        x509.BasicConstraints,
        x509.KeyUsage,
        x509.ExtendedKeyUsage,
        x509.SubjectAlternativeName,
    )
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.NameConstraints):
            raise SignatureError(f"{name} has name constraints, which are not checked here")
        if extension.critical and not isinstance(extension.value, known):
            oid = extension.oid.dotted_string
            raise SignatureError(f"{name} has the critical extension {oid}, not understood here")
    if certificate.version is not x509.Version.v3:
        raise SignatureError(f"{name} is an X.509 certificate of an old version")
    _check_algorithms(certificate)


def _check_time(certificate: x509.Certificate, when: datetime.datetime) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    name = name_of(certificate)
    if when < begin:
        raise SignatureError(f"{name} is not valid before {begin:%Y-%m-%dT%H:%M:%SZ}")
    if when > end:
        raise SignatureError(f"{name} expired at {end:%Y-%m-%dT%H:%M:%SZ}")


def _check_algorithms(certificate: x509.Certificate) -> None:
    """Refuse keys and digests that can be forged."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    name = name_of(certificate)
    try:
        key = certificate.public_key()
        digest = certificate.signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError) as error:
        raise SignatureError(f"{name} has a key that is not understood here: {error}") from None
    if isinstance(key, rsa.RSAPublicKey):
        strong = MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS
    elif isinstance(key, ec.EllipticCurvePublicKey):
        strong = isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1))
    else:
        strong = isinstance(key, ed25519.Ed25519PublicKey)
    if not strong:
        raise SignatureError(f"{name} has a key of a kind or size that is not taken")
    # None: the algorithm has a digest of its own (Ed25519).
    if digest is not None and not isinstance(digest, (hashes.SHA256, hashes.SHA384, hashes.SHA512)):
        raise SignatureError(f"{name} is signed over a {digest.name} digest, which is too weak")


def _extension(certificate: x509.Certificate, kind: type[Kind]) -> Kind | None:
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
