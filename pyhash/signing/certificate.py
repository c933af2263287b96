# SPDX-License-Identifier: Apache-2.0
"""Certificates (OMS method ``certificate``): signing with one, trusting those under given roots.

A reference for signing is ``certificate:key=K;leaf=L.pem;chain=C.pem``, where ``key`` is itself a
reference. One for verifying is ``certificate:root=R.pem;identity=NAME``, optionally with ``crl=F``
and ``at=TIME``. ``any-identity=yes`` in the place of a name trusts whoever has a certificate. The
web's authorities are never trusted: roots are named or there are none.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from pyhash import limits
from pyhash.errors import KeyFileError, SignatureError, UsageError
from pyhash.signing import references
from pyhash.signing._base import (
    CERTIFICATE,
    AskSecret,
    Identity,
    Material,
    Sealed,
    Signer,
    SigningMethod,
)
from pyhash.signing.certificate_path import check_leaf, find_path, is_issued_by, name_of
from pyhash.signing.dsse import Envelope
from pyhash.signing.ecdsa import PublicKey, public_key
from pyhash.signing.pem_files import pem_labels, read_key_file
from pyhash.signing.revocation import check_not_revoked
from pyhash.strict_json import show

if TYPE_CHECKING:
    from cryptography import x509

T = TypeVar("T")

SCHEME = "certificate"
_CERTIFICATE_LABEL = b"CERTIFICATE"
_SIGNER_PARAMETERS = ("key", "leaf", "chain")
_VERIFIER_PARAMETERS = ("root", "identity", "any-identity", "crl", "at")


@dataclass(frozen=True, slots=True)
class CertificateSigner:
    """A key with its certificate and the certificates above it. Immutable, thread-safe.

    Attributes:
        signer: What signs with the key of the certificate.
        certificates: DER, the leaf first, without the root.
    """

    signer: Signer
    certificates: tuple[bytes, ...]

    @property
    def hint(self) -> str:
        """Hint of the leaf's public key. Raises nothing."""
        return self.signer.hint

    def seal(self, payload: bytes) -> Sealed:
        """Sign a payload; see ``Signer``.

        Raises:
            CheckError: The key's signer could not sign.
        """
        sealed = self.signer.seal(payload)
        return Sealed(sealed.signature, Material(CERTIFICATE, certificates=self.certificates))


@dataclass(frozen=True, slots=True)
class CertificateVerifier:
    """Certificates under given roots, by name. Immutable, thread-safe.

    Attributes:
        identity: The only name to accept: exactly a mail address, URI or DNS name among the
            alternative names of the leaf, or its whole subject as RFC 4514 text. None: any.
        at: The time at which certificates must be valid; None: the time of each check.
    """

    identity: str | None
    at: datetime.datetime | None
    _roots: tuple[x509.Certificate, ...] = field(repr=False)
    _lists: tuple[x509.CertificateRevocationList, ...] = field(repr=False, default=())

    @property
    def kind(self) -> str:
        """The kind of material that it checks. Raises nothing."""
        return CERTIFICATE

    @property
    def hint(self) -> str:
        """Whom it trusts, in words. Raises nothing."""
        roots = ", ".join(name_of(root) for root in self._roots)
        who = "any certificate" if self.identity is None else f"the certificate of {self.identity}"
        return f"{who} under {roots}"

    def identify(self, envelope: Envelope, material: Material) -> Identity:
        """Check signature, path, revocation and name; see ``Verifier``.

        Raises:
            SignatureError: Something does not hold.
        """
        return self.identify_signer(
            material, lambda key: key.verify(envelope.message, envelope.signatures[0])
        )

    def identify_signer(self, material: Material, check: Callable[[PublicKey], None]) -> Identity:
        """Check path, revocation and name of who made a signature, and the signature by ``check``.

        Args:
            material: As for ``identify``.
            check: Raises SignatureError if the leaf's key did not make the signature.

        Raises:
            SignatureError: Something does not hold.
        """
        leaf, *others = (_parse(one) for one in material.certificates)
        when = self.at or datetime.datetime.now(datetime.UTC)
        key = _leaf_key(leaf)
        check(key)
        path = find_path(leaf, others, self._roots, when)
        check_not_revoked(path, self._lists, when)
        names = names_in(leaf)
        if self.identity not in (None, *names):
            raise SignatureError(
                f"the certificate is one of {', '.join(map(show, names))}, not of"
                f" {show(self.identity or '')}"
            )
        issuer = path[-1].subject.rfc4514_string()
        return Identity(CERTIFICATE, self.identity or names[0], key.hint, issuer)


def names_in(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the names that a certificate vouches for; never empty. Pure.

    Alternative names come first, in the order of the certificate, then the subject.

    Raises:
        SignatureError: They cannot be read.
    """
    from cryptography import x509

    kinds = (x509.RFC822Name, x509.UniformResourceIdentifier, x509.DNSName)
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [name.value for name in found if isinstance(name, kinds)]
    except x509.ExtensionNotFound:
        names = []
    except ValueError as error:
        raise SignatureError(f"names in the certificate cannot be read: {error}") from None
    return (*names, certificate.subject.rfc4514_string())


def load_signer(rest: str, passphrase: AskSecret | None = None) -> CertificateSigner:
    """Load a key and its certificates. Safe to call from any thread.

    Args:
        rest: What stands behind ``certificate:``, with ``key`` and ``leaf``.
        passphrase: Asked for what opens the key.

    Raises:
        UsageError: A parameter is missing or unknown, or the key is not that of the leaf.
        KeyFileError: Something cannot be read, or is a certificate that every verifier refuses.
    """
    from pyhash.signing import load_signer as load_key

    given = references.parse_parameters(rest, _SIGNER_PARAMETERS, scheme=SCHEME)
    leaf_name = references.needed_value(given, "leaf", scheme=SCHEME)
    leaf, *above = load_certificates(leaf_name)
    for name in given["chain"]:
        above += load_certificates(name)
    try:
        check_leaf(leaf, datetime.datetime.now(datetime.UTC))
        key = _leaf_key(leaf)
    except SignatureError as error:
        raise KeyFileError(f"{leaf_name}: every verifier would refuse it: {error}") from error
    reference = references.needed_value(given, "key", scheme=SCHEME)
    signer = load_key(reference, passphrase=passphrase)
    if signer.hint != key.hint:
        raise UsageError(f"{leaf_name}: is the certificate of another key than {reference}")
    # Who verifies has the root; one that comes with the bundle would prove nothing.
    chain = [one for one in above if one != leaf and not is_issued_by(one, one)]
    return CertificateSigner(signer, tuple(_der(one) for one in dict.fromkeys((leaf, *chain))))


def load_verifier(rest: str) -> CertificateVerifier:
    """Load roots and revocation lists. Safe to call from any thread.

    Args:
        rest: What stands behind ``certificate:``, with ``root`` and a name.

    Raises:
        UsageError: A parameter is missing, unknown or contradicts another.
        KeyFileError: A file cannot be read or holds something else.
    """
    given = references.parse_parameters(rest, _VERIFIER_PARAMETERS, scheme=SCHEME)
    if not given["root"]:
        raise UsageError(f"{SCHEME}: no root is named, and none is trusted by itself")
    identity = references.one_value(given, "identity", scheme=SCHEME)
    anybody = references.one_value(given, "any-identity", scheme=SCHEME)
    if anybody not in (None, "yes") or (identity is None) == (anybody is None):
        raise UsageError(f"{SCHEME}: say who may sign: identity=NAME, or else any-identity=yes")
    at = references.one_value(given, "at", scheme=SCHEME)
    roots = [one for name in given["root"] for one in load_certificates(name)]
    lists = [_load_list(name) for name in given["crl"]]
    when = None if at is None else parse_time(at)
    return CertificateVerifier(identity, when, tuple(roots), tuple(lists))


def parse_time(text: str) -> datetime.datetime:
    """Read a time with its zone, as in ``2026-01-31T12:00:00Z``. Pure.

    Raises:
        UsageError: It is none, or says no zone.
    """
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise UsageError(f"{show(text)} is no time with a zone, such as 2026-01-31T12:00:00Z")
    return when


def load_certificates(name: str) -> list[x509.Certificate]:
    """Read certificates, one or more, from a PEM file. Safe to call from any thread.

    Raises:
        KeyFileError: It cannot be read, or holds something else or nothing.
    """
    from cryptography import x509

    pem = read_key_file(name, private=False)
    labels = pem_labels(pem)
    if not labels or set(labels) != {_CERTIFICATE_LABEL}:
        raise KeyFileError(f"{name}: not a PEM file with certificates alone", name)
    if len(labels) > limits.MAX_CERTIFICATES:
        raise KeyFileError(
            f"{name}: {len(labels)} certificates, above the cap of {limits.MAX_CERTIFICATES}", name
        )
    return _loaded(name, lambda: [_read(one) for one in x509.load_pem_x509_certificates(pem)])


def _load_list(name: str) -> x509.CertificateRevocationList:
    from cryptography import x509

    data = read_key_file(name, private=False, max_bytes=limits.MAX_CRL_BYTES)
    is_text = data.startswith(b"-----BEGIN ")
    read = x509.load_pem_x509_crl if is_text else x509.load_der_x509_crl

    def load() -> x509.CertificateRevocationList:
        found = read(data)
        _ = (found.issuer, found.last_update_utc, found.next_update_utc, list(found.extensions))
        for entry in found:
            _ = list(entry.extensions)
        return found

    return _loaded(name, load)


def _loaded(name: str, load: Callable[[], T]) -> T:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    problems = (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)
    try:
        return load()
    except problems as error:
        raise KeyFileError(f"{name}: cannot be decoded: {error}", name) from error


def _read(found: x509.Certificate) -> x509.Certificate:
    """Read all that is otherwise decoded lazily, and later, where nobody expects it to fail."""
    _ = (found.not_valid_before_utc, found.not_valid_after_utc, found.extensions)
    _ = (found.subject.rfc4514_string(), found.issuer.rfc4514_string())
    return found


def _parse(der: bytes) -> x509.Certificate:
    """Decode a certificate out of a bundle."""
    from cryptography import x509

    try:
        found = _read(x509.load_der_x509_certificate(der))
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension) as error:
        raise SignatureError(f"a certificate in the bundle cannot be decoded: {error}") from None
    if found.serial_number <= 0:  # RFC 5280, 4.1.2.2; revocation goes by this number
        raise SignatureError("a certificate in the bundle has no positive serial number")
    return found


def _leaf_key(leaf: x509.Certificate) -> PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = leaf.public_key()
        if isinstance(key, ec.EllipticCurvePublicKey):
            return public_key(key)
    except (KeyFileError, ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError(f"{name_of(leaf)} has no key that is taken: {error}") from None
    raise SignatureError(f"{name_of(leaf)} has no ECDSA key, and no other kind is taken")


def _der(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def _files(rest: str) -> tuple[str, ...]:
    """Files that a reference names; for signing, those of its key too."""
    from pyhash.signing import key_files

    names = (*_SIGNER_PARAMETERS, *_VERIFIER_PARAMETERS)
    given = references.parse_parameters(rest, names, scheme=SCHEME)
    of_keys = [name for key in given["key"] for name in key_files(key)]
    return (*of_keys, *given["leaf"], *given["chain"], *given["root"], *given["crl"])


METHOD = SigningMethod(
    scheme=SCHEME, load_signer=load_signer, load_verifier=load_verifier, files=_files
)
