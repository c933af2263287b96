# SPDX-License-Identifier: Apache-2.0
"""What the conformance adapter must refuse: changed models, statements, bundles, wrong keys.

Numbers in the comments are sections of the OMS specification v1.0.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.conformance._stage import FILES, Stage
from tests.support import authority, peer


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_changed_models(stage: Stage) -> None:
    """8.4: content, missing and extra files."""
    assert stage.sign() == 0
    (stage.model / "weights.bin").write_bytes(b"\x00\xff\x80weightz")
    assert stage.verify() == 1
    assert stage.verify("--ignore-unsigned-files") == 1
    stage.write("weights.bin", FILES["weights.bin"])
    (stage.model / "empty.bin").write_bytes(b"\0")
    assert stage.verify() == 1
    (stage.model / "empty.bin").unlink()
    assert stage.verify() == 1
    stage.write("empty.bin", b"")
    assert stage.verify() == 0


def test_unsigned_files(stage: Stage) -> None:
    """8.5: refused by default; left aside on request, and nothing else with them."""
    assert stage.sign() == 0
    stage.write("extra.bin", b"x")
    assert stage.verify() == 1
    assert stage.verify("--ignore-unsigned-files") == 0
    (stage.model / "config.json").unlink()
    assert stage.verify("--ignore-unsigned-files") == 1


def test_names_are_bound(stage: Stage) -> None:
    """8.4: the root binds no names; the list does."""
    assert stage.sign() == 0
    (stage.model / "a.b").rename(stage.model / "a.c")
    assert stage.verify() == 1


Change = Callable[[dict[str, Any]], object]
STATEMENTS: dict[str, Change] = {
    "other statement type": lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"),
    "other predicate type": lambda s: s.update(
        predicateType="https://model_signing/signature/v1.1"
    ),
    "no predicate": lambda s: s.pop("predicate"),
    "no subject": lambda s: s.pop("subject"),
    "no subjects": lambda s: s.update(subject=[]),
    "two subjects": lambda s: s.update(subject=s["subject"] * 2),
    "no subject name": lambda s: s["subject"][0].pop("name"),
    "no root": lambda s: s["subject"][0]["digest"].pop("sha256"),
    "other root": lambda s: s["subject"][0]["digest"].update(sha256="0" * 64),
    "no resources": lambda s: s["predicate"].update(resources=[]),
    "resources missing": lambda s: s["predicate"].pop("resources"),
    "no serialization": lambda s: s["predicate"].pop("serialization"),
    "no method": lambda s: s["predicate"]["serialization"].pop("method"),
    "unknown method": lambda s: s["predicate"]["serialization"].update(method="magic"),
    "no hash type": lambda s: s["predicate"]["serialization"].pop("hash_type"),
    "weak hash type": lambda s: s["predicate"]["serialization"].update(hash_type="md5"),
    "no allow_symlinks": lambda s: s["predicate"]["serialization"].pop("allow_symlinks"),
    "resource without a name": lambda s: s["predicate"]["resources"][0].pop("name"),
    "resource without a digest": lambda s: s["predicate"]["resources"][0].pop("digest"),
    "resource without an algorithm": lambda s: s["predicate"]["resources"][0].pop("algorithm"),
    "other algorithm": lambda s: s["predicate"]["resources"][0].update(algorithm="SHA-256"),
    "digest is an object": lambda s: s["predicate"]["resources"][0].update(
        digest={"sha256": "0" * 64}
    ),
    "name twice": lambda s: s["predicate"]["resources"].append(s["predicate"]["resources"][0]),
    "name above": lambda s: s["predicate"]["resources"][0].update(name="../a"),
    "absolute name": lambda s: s["predicate"]["resources"][0].update(name="/etc/passwd"),
    "name is a number": lambda s: s["predicate"]["resources"][0].update(name=1),
}


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    stage = Stage(tmp_path_factory.mktemp("signed"))
    assert stage.sign() == 0
    return stage


@pytest.mark.parametrize("name", STATEMENTS)
def test_statements_are_refused(signed: Stage, tmp_path: Path, name: str) -> None:
    """Validly signed, and still no statement about this model."""
    statement = json.loads(json.dumps(signed.statement()))
    STATEMENTS[name](statement)
    other = Stage.__new__(Stage)
    other.__dict__ = {**signed.__dict__, "bundle": tmp_path / "bundle.sig"}
    other.write_bundle(json.dumps(statement).encode())
    assert other.verify() in (1, 3)


BUNDLES: dict[str, Change] = {
    "media type": lambda b: b.update(mediaType="application/json"),
    "no media type": lambda b: b.pop("mediaType"),
    "no envelope": lambda b: b.pop("dsseEnvelope"),
    "no material": lambda b: b.pop("verificationMaterial"),
    "no signature": lambda b: b["dsseEnvelope"].update(signatures=[]),
    "unknown field": lambda b: b.update(extra=1),
    "tampered payload": lambda b: b["dsseEnvelope"].update(
        payload=base64.b64encode(b"{}").decode()
    ),
    "other payload type": lambda b: b["dsseEnvelope"].update(payloadType="text/plain"),
    "signature is a number": lambda b: b["dsseEnvelope"]["signatures"][0].update(sig=1),
    "other hint": lambda b: b["verificationMaterial"]["publicKey"].update(hint="0" * 64),
    "certificate that is none": lambda b: b.update(
        verificationMaterial={"x509CertificateChain": {"certificates": []}}
    ),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_bundles_are_refused(signed: Stage, tmp_path: Path, name: str) -> None:
    bundle = json.loads(signed.bundle.read_bytes())
    BUNDLES[name](bundle)
    other = Stage.__new__(Stage)
    other.__dict__ = {**signed.__dict__, "bundle": tmp_path / "bundle.sig"}
    other.bundle.write_text(json.dumps(bundle))
    assert other.verify() in (1, 3)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_files_that_are_no_bundle(signed: Stage, tmp_path: Path, data: bytes) -> None:
    other = Stage.__new__(Stage)
    other.__dict__ = {**signed.__dict__, "bundle": tmp_path / "bundle.sig"}
    other.bundle.write_bytes(data)
    assert other.verify() == 3


def test_accepted_spellings(signed: Stage, tmp_path: Path) -> None:
    """4.1: keyid absent or null, no tlogEntries, no hint."""
    bundle = json.loads(signed.bundle.read_bytes())
    bundle["dsseEnvelope"]["signatures"][0]["keyid"] = None
    bundle["verificationMaterial"] = {"publicKey": {}}
    other = Stage.__new__(Stage)
    other.__dict__ = {**signed.__dict__, "bundle": tmp_path / "bundle.sig"}
    other.bundle.write_text(json.dumps(bundle))
    assert other.verify() == 0


def test_wrong_keys(stage: Stage) -> None:
    """4.2: another key, a curve that is not taken, a private key in the place of a public one."""
    assert stage.sign() == 0
    stranger = peer.make_key_pair(stage.home / "stranger")
    koblitz = authority.write_key(stage.home / "koblitz", ec.generate_private_key(ec.SECP256K1()))
    for key, code in ((stranger.public, 1), (stranger.private, 3), (koblitz, 3)):
        assert stage.verify("--public-key", key) == code
    stage.bundle.unlink()
    assert stage.sign("--private-key", koblitz) == 3
    assert not stage.bundle.exists()
