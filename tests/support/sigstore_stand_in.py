# SPDX-License-Identifier: Apache-2.0
"""A private Sigstore: an authority, a certificate log and a transparency log, in this process.

Only makes what a test needs: a trusted root and material for a signature, with real cryptography,
as the public services make it (RFC 6962, Rekor's dsse 0.0.1 entries, a log of one entry). Speaks no
network and checks nothing. Imports nothing of pyhash.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import struct
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from tests.support.authority import USAGES

IDENTITY, ISSUER = "release@example.org", "https://accounts.example.org"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
ORIGIN = "log.example.org - 1"
SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
FULCIO_ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    """SubjectPublicKeyInfo, DER."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def pae(payload: bytes) -> bytes:
    """What DSSE signs."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


@dataclass(frozen=True)
class StandIn:
    """The three services' keys and the authority's certificate."""

    authority: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    certificate_log: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    log: ec.EllipticCurvePrivateKey = field(default_factory=_key)

    @property
    def root(self) -> x509.Certificate:
        """The authority's certificate, the same at every call but for its signature."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
        public = self.authority.public_key()
        usage = dict.fromkeys(USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(public)
            .serial_number(1)
            .not_valid_before(BEGIN - 1000 * SECOND)
            .not_valid_after(BEGIN + datetime.timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self.authority, hashes.SHA256())
        )

    def trusted_root(self) -> dict[str, Any]:
        """What a verifier is given: JSON."""
        valid = {"start": BEGIN.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_instance(self.log, "https://log.example.org", valid)],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "example", "commonName": "stand-in"},
                    "uri": "https://authority.example.org",
                    "certChain": {
                        "certificates": [{"rawBytes": _b64(self.root.public_bytes(Encoding.DER))}]
                    },
                    "validFor": {"start": "2020-01-01T00:00:00Z"},
                }
            ],
            "ctlogs": [_instance(self.certificate_log, "https://ct.example.org", valid)],
        }

    def issue(
        self,
        key: ec.EllipticCurvePrivateKey,
        *,
        identity: str = IDENTITY,
        issuer: str = ISSUER,
        begin: datetime.datetime = BEGIN,
    ) -> x509.Certificate:
        """A certificate of ten minutes for an identity, with the certificate log's promise."""
        builder = self._builder(key, identity, issuer, begin)
        draft = builder.sign(self.authority, hashes.SHA256())
        entry = hashlib.sha256(spki(self.authority)).digest() + _u24(draft.tbs_certificate_bytes)
        moment = int(begin.timestamp() * 1000)
        promised = struct.pack("!BBQH", 0, 0, moment, 1) + entry + b"\0\0"
        signature = _sign(self.certificate_log, promised)
        log_id = hashlib.sha256(spki(self.certificate_log)).digest()
        sct = struct.pack("!B32sQ", 0, log_id, moment) + b"\0\0"
        sct += struct.pack("!BBH", 4, 3, len(signature)) + signature
        listed = struct.pack("!HH", len(sct) + 2, len(sct)) + sct
        octets = b"\x04" + _der_length(len(listed)) + listed
        builder = builder.add_extension(
            x509.UnrecognizedExtension(SCT_LIST, octets), critical=False
        )
        return builder.sign(self.authority, hashes.SHA256())

    def _builder(
        self, key: ec.EllipticCurvePrivateKey, identity: str, issuer: str, begin: datetime.datetime
    ) -> x509.CertificateBuilder:
        usage = dict.fromkeys(USAGES, False) | {"digital_signature": True}
        name: x509.GeneralName = (
            x509.UniformResourceIdentifier(identity)
            if "://" in identity
            else x509.RFC822Name(identity)
        )
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.root.subject)
            .public_key(key.public_key())
            .serial_number(77)
            .not_valid_before(begin)
            .not_valid_after(begin + 600 * SECOND)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.public_key()),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(
                x509.UnrecognizedExtension(FULCIO_ISSUER, issuer.encode()), critical=False
            )
        )

    def log_entry(
        self,
        certificate: x509.Certificate,
        payload: bytes,
        signature: bytes,
        *,
        at: datetime.datetime = BEGIN + 5 * SECOND,
    ) -> dict[str, Any]:
        """The log's proof that it holds a signature by this certificate over this payload."""
        pem = certificate.public_bytes(Encoding.PEM)
        body = _canonical(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": {"algorithm": "sha256", "value": "0" * 64},
                    "payloadHash": {
                        "algorithm": "sha256",
                        "value": hashlib.sha256(payload).hexdigest(),
                    },
                    "signatures": [{"signature": _b64(signature), "verifier": _b64(pem)}],
                },
            }
        )
        log_id = hashlib.sha256(spki(self.log)).digest()
        root = hashlib.sha256(b"\0" + body).digest()
        moment = int(at.timestamp())
        note = f"{ORIGIN}\n1\n{_b64(root)}\n"
        signed_note = _b64(log_id[:4] + _sign(self.log, note.encode()))
        promise = _canonical(
            {
                "body": _b64(body),
                "integratedTime": moment,
                "logID": log_id.hex(),
                "logIndex": 0,
            }
        )
        return {
            "logIndex": "0",
            "logId": {"keyId": _b64(log_id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(moment),
            "inclusionPromise": {"signedEntryTimestamp": _b64(_sign(self.log, promise))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": _b64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\u2014 {ORIGIN.split()[0]} {signed_note}\n"},
            },
            "canonicalizedBody": _b64(body),
        }

    def bundle(self, payload: bytes, **issued: Any) -> dict[str, Any]:
        """A whole bundle over a payload, by a key that is forgotten at once."""
        key = _key()
        certificate = self.issue(key, **issued)
        signature = _sign(key, pae(payload))
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": _b64(certificate.public_bytes(Encoding.DER))},
                "tlogEntries": [self.log_entry(certificate, payload, signature)],
                "timestampVerificationData": {"rfc3161Timestamps": []},
            },
            "dsseEnvelope": {
                "payload": _b64(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": _b64(signature), "keyid": ""}],
            },
        }


def _instance(key: ec.EllipticCurvePrivateKey, url: str, valid: dict[str, str]) -> dict[str, Any]:
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": _b64(spki(key)),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": valid,
        },
        "logId": {"keyId": _b64(hashlib.sha256(spki(key)).digest())},
    }


def _canonical(value: object) -> bytes:
    """RFC 8785, for values as plain as these."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("utf-8")


def _u24(data: bytes) -> bytes:
    return len(data).to_bytes(3, "big") + data


def _der_length(length: int) -> bytes:
    return bytes([length]) if length < 128 else bytes([0x81, length])
