# SPDX-License-Identifier: Apache-2.0
"""Bundles as model-signing wrote them before 1.1. Imports nothing of pyhash."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.authority import Chain
from tests.support.peer import KeyPair

TYPE = "application/vnd.in-toto+json"
Encode = Callable[[bytes], bytes]


def old_statement(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Of version 0.2: one subject for each file, with how its digest was made."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {
                "name": name,
                "digest": {"sha256": hashlib.sha256(data).hexdigest()},
                "annotations": {"actual_hash_algorithm": "file-sha256"},
            }
            for name, data in sorted(files.items())
        ],
        "predicateType": "https://model_signing/Digests/v0.1",
        "predicate": {"unused": "Unused, just passed due to API requirements"},
    }


def old_payload(files: Mapping[str, bytes]) -> bytes:
    """The statement of version 0.2 as text."""
    return json.dumps(old_statement(files), indent=2).encode()


def old_pae(payload: bytes) -> bytes:
    """What version 0.2 signed: a string made of a string and bytes."""
    return f"DSSEV1 {len(TYPE)} {TYPE} {len(payload)} {payload!r}".encode()


def new_pae(payload: bytes) -> bytes:
    """What is signed since 0.3."""
    return b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE.encode(), len(payload), payload)


def write_with_key(bundle: Path, keys: KeyPair, payload: bytes, encode: Encode) -> None:
    """A bundle of versions 0.2 to 1.0, with the public key inside."""
    key = serialization.load_pem_private_key(keys.private.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(encode(payload), ec.ECDSA(hashes.SHA256()))
    material = {
        "publicKey": {
            "rawBytes": base64.b64encode(keys.public.read_bytes()).decode(),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
        }
    }
    _write(bundle, material, payload, signature)


def write_with_certificate(
    bundle: Path,
    chain: Chain,
    payload: bytes,
    encode: Encode = old_pae,
    digest: hashes.HashAlgorithm | None = None,
) -> None:
    """A bundle of version 0.2, which signed over SHA-256 for every curve."""
    signature = chain.leaf.key.sign(encode(payload), ec.ECDSA(digest or hashes.SHA256()))
    certificates = [
        {"rawBytes": base64.b64encode(one.der()).decode()} for one in (chain.leaf, chain.middle)
    ]
    _write(bundle, {"x509CertificateChain": {"certificates": certificates}}, payload, signature)


def _write(bundle: Path, material: dict[str, Any], payload: bytes, signature: bytes) -> None:
    value = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": material,
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": None}],
        },
    }
    bundle.write_text(json.dumps(value))
