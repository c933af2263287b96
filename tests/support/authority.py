# SPDX-License-Identifier: Apache-2.0
"""Makes certificates, chains and revocation lists, good and bad. Imports nothing of pyhash."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
IDENTITY = "release@example.org"
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
CA_USAGE = ("key_cert_sign", "crl_sign")
NO_DIGEST = object()  # for keys whose algorithm has its own


@dataclass(frozen=True)
class Holder:
    """A key and its certificate."""

    key: Any
    certificate: x509.Certificate

    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    def der(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.DER)


def name(text: str) -> x509.Name:
    """A subject with one common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def usage(names: Iterable[str]) -> x509.KeyUsage:
    """A key usage with just these bits."""
    chosen = set(names)
    return x509.KeyUsage(**{one: one in chosen for one in USAGES})


def make(
    subject: str,
    issuer: Holder | None = None,
    *,
    key: Any = None,
    begin: datetime.datetime = NOW - DAY,
    end: datetime.datetime = NOW + 30 * DAY,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    digest: Any = None,
    serial: int | None = None,
) -> Holder:
    """A certificate, self-signed without an issuer."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(issuer.certificate.subject if issuer else name(subject))
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    signer = issuer.key if issuer else key
    chosen = None if digest is NO_DIGEST else digest or hashes.SHA256()
    return Holder(key, builder.sign(signer, chosen))


def ca(
    subject: str,
    issuer: Holder | None = None,
    *,
    path_length: int | None = None,
    bits: Iterable[str] = CA_USAGE,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    **named: Any,
) -> Holder:
    """An authority."""
    extensions = [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (usage(bits), True),
        *more,
    ]
    return make(subject, issuer, extensions=extensions, **named)


def leaf(
    issuer: Holder | None,
    *,
    subject: str = "publisher",
    bits: Iterable[str] = ("digital_signature",),
    purposes: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CODE_SIGNING,),
    identity: str | None = IDENTITY,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    **named: Any,
) -> Holder:
    """A certificate that signs code."""
    extensions: list[tuple[x509.ExtensionType, bool]] = [(usage(bits), True), *more]
    if purposes:
        extensions.append((x509.ExtendedKeyUsage(list(purposes)), False))
    if identity:
        extensions.append((x509.SubjectAlternativeName([x509.RFC822Name(identity)]), False))
    return make(subject, issuer, extensions=extensions, **named)


def crl(
    issuer: Holder,
    serials: Iterable[int] = (),
    *,
    begin: datetime.datetime = NOW - DAY,
    end: datetime.datetime = NOW + DAY,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    signer: Any = None,
    entry: tuple[x509.ExtensionType, bool] | None = None,
) -> bytes:
    """A revocation list, PEM."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(begin)
        .next_update(end)
    )
    for serial in serials:
        revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(begin)
        if entry is not None:
            revoked = revoked.add_extension(*entry)
        builder = builder.add_revoked_certificate(revoked.build())
    for extension, critical in more:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer or issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def write_key(path: Path, key: Any) -> Path:
    """A private key, mode 0600."""
    data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return path


@dataclass(frozen=True)
class Chain:
    """Root, one authority below it and a leaf, as files too."""

    root: Holder
    middle: Holder
    leaf: Holder
    root_file: Path
    middle_file: Path
    leaf_file: Path
    key_file: Path

    @property
    def signer(self) -> str:
        """The key reference that signs."""
        return f"certificate:key={self.key_file};leaf={self.leaf_file};chain={self.middle_file}"

    @property
    def trust(self) -> str:
        """The key reference that verifies."""
        return f"certificate:root={self.root_file};identity={IDENTITY}"


def make_chain(directory: Path, curve: ec.EllipticCurve | None = None) -> Chain:
    """A good chain."""
    directory.mkdir(parents=True, exist_ok=True)
    root = ca("root")
    middle = ca("middle", root, path_length=0)
    end = leaf(middle, key=ec.generate_private_key(curve or ec.SECP256R1()))
    files = []
    for label, holder in (("root", root), ("middle", middle), ("leaf", end)):
        files.append(directory / f"{label}.pem")
        files[-1].write_bytes(holder.pem())
    return Chain(root, middle, end, *files, write_key(directory / "leaf.key", end.key))
