# SPDX-License-Identifier: Apache-2.0
"""Other people's code agrees: proofs and checkpoints with sigstore's, statements with
in-toto-attestation, envelopes with securesystemslib, ML-BOMs with the official schema, and a
checkpoint with statements beside it with the reference tool of model signing.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement as PeerStatement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError as PeerRefusal
from securesystemslib.signer import SSlibKey
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import SignedCheckpoint
from sigstore.errors import VerificationError as SigstoreRefusal
from sigstore_models.rekor.v1 import InclusionProof

import pyhash
from pyhash.access import AccessLog, record_statement
from pyhash.provenance.cyclonedx import dump_cyclonedx
from pyhash.provenance.lineage import Statement
from pyhash.provenance.statement import dump_step
from pyhash.provenance.store import add_lines
from tests.support import checkpoints, peer
from tests.support import lineages as do
from tests.support.lineages import BASE, SMALL, TESTED, TRAINER, TUNED
from tests.support.logs import TestLog, make_log
from tests.unit.test_provenance_statement import FULL, NOTHING


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> TestLog:
    entries = [b"entry %d" % number for number in range(777)]
    return make_log(tmp_path_factory.mktemp("log") / "log", *entries)


def rekor_entry(log: TestLog, index: int) -> Any:
    """What sigstore's code takes: a proof of ours in its own model."""
    entry, proof = log.open().prove(index)
    tree = log.open().tree
    hashes = [base64.b64encode(one) for one in proof.hashes]
    inclusion = InclusionProof(
        log_index=str(index),
        root_hash=base64.b64encode(tree.root),
        tree_size=str(tree.size),
        hashes=hashes,
    )
    return SimpleNamespace(
        _inner=SimpleNamespace(inclusion_proof=inclusion, canonicalized_body=entry)
    )


@pytest.mark.parametrize("index", [0, 1, 255, 256, 511, 512, 768, 776])
def test_inclusion_proofs_by_sigstore(log: TestLog, index: int) -> None:
    verify_merkle_inclusion(rekor_entry(log, index))
    wrong = rekor_entry(log, index)
    wrong._inner.canonicalized_body += b"x"
    with pytest.raises(SigstoreRefusal):
        verify_merkle_inclusion(wrong)


class _Keyring:
    """The keys of a log as sigstore asks for them; the signature is checked by cryptography."""

    def __init__(self, public: bytes) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(public)

    def verify(self, *, key_id: bytes, signature: bytes, data: bytes) -> None:
        try:
            self._key.verify(signature, data)
        except InvalidSignature as error:
            raise SigstoreRefusal("signature") from error


def test_checkpoints_by_sigstore(log: TestLog) -> None:
    text = (log.directory / "checkpoint").read_text("utf-8")
    signed = SignedCheckpoint.from_text(text)
    key = log.signer.verifier
    signed.signed_note.verify(_Keyring(key.public), key.key_id)  # type: ignore[arg-type]
    assert (signed.checkpoint.origin, signed.checkpoint.log_size) == (key.name, 777)
    assert signed.checkpoint.log_hash == log.open().tree.root.hex()
    forged = SignedCheckpoint.from_text(text.replace("\n777\n", "\n778\n"))
    with pytest.raises(SigstoreRefusal):
        forged.signed_note.verify(_Keyring(key.public), key.key_id)  # type: ignore[arg-type]


@pytest.mark.parametrize("step", [FULL, NOTHING, BASE, TUNED, SMALL, TESTED])
def test_statements_by_in_toto(step: Any) -> None:
    payload = dump_step(step)
    parsed = json_format.Parse(payload, statement_pb2.Statement())
    PeerStatement.copy_from_pb(parsed).validate()
    predicate = json.loads(payload)["predicate"]
    provenance = json_format.ParseDict(predicate, provenance_pb2.Provenance())
    assert provenance.build_definition.build_type == predicate["buildDefinition"]["buildType"]
    assert len(provenance.build_definition.resolved_dependencies) == len(step.materials)


def envelope(line: bytes, payload_of: bytes) -> Envelope:
    """The envelope of a bundle in that library's model, with its own payload or another."""
    fields = json.loads(line)["dsseEnvelope"]
    fields["payload"] = json.loads(payload_of)["dsseEnvelope"]["payload"]
    # That library knows keys by an id, which the envelope of an OMS bundle leaves empty.
    fields["signatures"][0]["keyid"] = "trainer"
    return Envelope.from_dict(fields)


def test_envelopes_by_securesystemslib() -> None:
    line, other = do.bundle(BASE), do.bundle(TUNED)
    key = SSlibKey.from_crypto(_public_key(), keyid="trainer")
    assert list(envelope(line, line).verify([key], 1).values()) == [key]
    with pytest.raises(PeerRefusal):
        envelope(line, other).verify([key], 1)


def _public_key() -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    return load_pem_public_key(TRAINER.public_key.pem)


@pytest.mark.parametrize(
    "steps", [[TESTED, SMALL, TUNED, BASE], [FULL], [NOTHING], []], ids=["all", "full", "none", "-"]
)
def test_bom_by_the_official_schema(steps: list[Any]) -> None:
    statements = [Statement(one, TRAINER.public_key.hint, b"") for one in steps]
    root = steps[0].root if steps else "ab" * 32
    data = dump_cyclonedx(statements, root, "model")
    assert data == dump_cyclonedx(statements, root, "model")
    fault = JsonStrictValidator(SchemaVersion.V1_7).validate_str(data.decode("utf-8"))
    assert fault is None, fault
    bom = json.loads(data)
    assert bom["metadata"]["component"]["type"] == "machine-learning-model"
    broken = json.dumps({**bom, "specVersion": 1.7})
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(broken) is not None


def test_bom_says_what_the_statements_say() -> None:
    statements = [Statement(one, "hint", b"") for one in (SMALL, TUNED, BASE)]
    bom = json.loads(dump_cyclonedx(statements, SMALL.root, "model"))
    component = bom["metadata"]["component"]
    assert component["name"] == "small"
    assert component["hashes"] == [{"alg": "SHA-256", "content": "00" * 32}]
    ancestors = [one["name"] for one in component["pedigree"]["ancestors"]]
    assert ancestors == ["tuned", "base"]
    assert [one["name"] for one in bom["components"]] == ["feedback", "corpus"]
    flows = [one["name"] for one in bom["formulation"][0]["workflows"]]
    assert flows == ["quantize of small", "fine-tune of tuned", "train of base"]


def test_statements_leave_the_signature_valid_for_the_reference_tool(tmp_path: Path) -> None:
    model = checkpoints.make_hf_checkpoint(tmp_path / "model", shard_bytes=1 << 16)
    keys = peer.make_key_pair(tmp_path / "keys")
    pyhash.sign(model, keys.private)
    bundle = do.bundle(BASE)
    add_lines(model / "model.provenance.jsonl", [bundle])
    log = make_log(tmp_path / "log")
    record_statement(
        AccessLog(str(log.directory), log.signer), bundle, model / "model.proofs.jsonl"
    )
    pyhash.verify(model, keys=[keys.public])
    done = peer.peer_verify(model, keys.public, model / "model.sig")
    assert done.returncode == 0, done.stderr
    (model / "model.provenance.json").write_bytes(b"another name")
    assert peer.peer_verify(model, keys.public, model / "model.sig").returncode == 1
    with pytest.raises(pyhash.VerificationError):
        pyhash.verify(model, keys=[keys.public])
