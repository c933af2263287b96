# SPDX-License-Identifier: Apache-2.0
"""Certificate revocation lists: is any certificate of a path taken back? RFC 5280, section 5.

Lists come from whoever verifies, never from the bundle, and are never fetched.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyhash.errors import SignatureError
from pyhash.signing.certificate_path import name_of

if TYPE_CHECKING:
    from cryptography import x509


def check_not_revoked(
    path: Sequence[x509.Certificate],
    lists: Sequence[x509.CertificateRevocationList],
    when: datetime.datetime,
) -> None:
    """Check a path against lists; without any list, nothing is checked. Pure, thread-safe.

    Args:
        path: Leaf first, trusted root last; each is issued by the next one.
        lists: What the verifier gives. When there is one, each certificate below the root needs a
            usable one of its issuer: a list that was left out must not pass for an empty one.
        when: The time at which the lists must be current.

    Raises:
        SignatureError: A certificate is revoked, or no usable list says that it is not.
    """
    if not lists:
        return
    for certificate, issuer in itertools.pairwise(path):
        _check_one(certificate, issuer, lists, when)


def _check_one(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    lists: Sequence[x509.CertificateRevocationList],
    when: datetime.datetime,
) -> None:
    name = name_of(certificate)
    reasons = []
    for one in lists:
        if one.issuer != issuer.subject:
            continue
        reason = _unusable(one, issuer, when)
        if reason is not None:
            reasons.append(reason)
        elif one.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
            raise SignatureError(f"the certificate {name} is revoked by {name_of(issuer)}")
        else:
            return
    why = "; ".join(reasons) or "there is none of its issuer"
    raise SignatureError(f"no usable revocation list covers the certificate {name}: {why}")


def _unusable(
    one: x509.CertificateRevocationList, issuer: x509.Certificate, when: datetime.datetime
) -> str | None:
    """Why a list says nothing; None when it is usable."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    key = issuer.public_key()
    if not isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey)):
        return "its issuer has a key of a kind that is not taken"
    if not one.is_signature_valid(key):
        return "its signature does not hold"
    try:
        may_sign = issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        may_sign = False
    if not may_sign:
        return f"{name_of(issuer)} may not sign lists (key usage cRLSign)"
    end = one.next_update_utc
    if end is None or end < when:
        return "it is out of date" if end else "it does not say until when it holds"
    if one.last_update_utc > max(when, datetime.datetime.now(datetime.UTC)):
        return "it is from the future"
    if any(extension.critical for extension in one.extensions):
        return "it covers only part of the certificates (a critical extension)"
    if any(entry_extension.critical for entry in one for entry_extension in entry.extensions):
        return "an entry has a critical extension"
    return None
