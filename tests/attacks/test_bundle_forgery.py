# SPDX-License-Identifier: Apache-2.0
"""Attacks on the signature: other keys, other payloads, other envelopes, other checkpoints."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

import pyhash
from pyhash import signing
from pyhash.errors import (
    DigestMismatchError,
    FormatError,
    KeyFileError,
    PyhashError,
    SignatureError,
    UnsignedError,
    UsageError,
)
from pyhash.signing import ecdsa
from pyhash.signing.dsse import pae
from tests.attacks._stage import (
    Stage,
    make_checkpoint,
    payload_of,
    read_json,
    sign_payload,
    write_json,
)
from tests.support import mutations as do

Json = dict[str, Any]

OLD_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle+json"

# Order of the group of P-256 (FIPS 186-5, SP 800-186).
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _attackers_signature(stage: Stage, payload: bytes) -> dict[str, str]:
    made = signing.sign_payload(payload, signing.load_signer(stage.attacker))
    return {"sig": _base64(made.envelope.signatures[0]), "keyid": ""}


def _edit(stage: Stage, change: Callable[[Json], object]) -> None:
    fields = read_json(stage.bundle)
    change(fields)
    write_json(stage.bundle, fields)


# --- keys ---------------------------------------------------------------------------------------


def test_signed_by_another_key(stage: Stage) -> None:
    sign_payload(stage, payload_of(stage), key=stage.attacker)
    stage.expect_refused(SignatureError)


def test_signed_by_another_key_in_the_name_of_ours(stage: Stage) -> None:
    hint = signing.load_verifier(stage.trusted).hint
    sign_payload(stage, payload_of(stage), key=stage.attacker)
    _edit(stage, lambda fields: fields["verificationMaterial"]["publicKey"].update(hint=hint))
    stage.expect_refused(SignatureError)


def test_signed_by_another_key_in_nobodys_name(stage: Stage) -> None:
    sign_payload(stage, payload_of(stage), key=stage.attacker)
    _edit(stage, lambda fields: fields["verificationMaterial"].update(publicKey={}))
    stage.expect_refused(SignatureError)


def test_everything_replaced_and_signed_by_the_attacker(stage: Stage) -> None:
    shutil.rmtree(stage.model)
    make_checkpoint(stage.model, seed=1)
    pyhash.sign(stage.model, stage.attacker)
    pyhash.verify(stage.model, keys=[stage.home / "attacker.pub"])
    stage.expect_refused(SignatureError)


def test_attackers_key_inside_the_bundle(stage: Stage) -> None:
    key = stage.home / "attacker.pub"
    sign_payload(stage, payload_of(stage), key=stage.attacker)
    der = "".join(key.read_text().splitlines()[1:-1])
    _edit(
        stage,
        lambda fields: fields["verificationMaterial"].update(
            publicKey={"rawBytes": der, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
        ),
    )
    error = stage.expect_refused(FormatError)
    assert "public key inside" in str(error)


def test_attackers_certificate_inside_the_bundle(stage: Stage) -> None:
    _edit(
        stage,
        lambda fields: fields.update(
            verificationMaterial={"x509CertificateChain": {"certificates": [{"rawBytes": "AA=="}]}}
        ),
    )
    error = stage.expect_refused(SignatureError)
    assert "a certificate" in str(error)


def test_attackers_key_inside_the_checkpoint_is_not_looked_for(stage: Stage) -> None:
    shutil.copyfile(stage.home / "attacker.pub", stage.model / "publisher.pub")
    pyhash.sign(stage.model, stage.attacker)
    stage.expect_refused(SignatureError)


def test_no_key_is_no_answer(stage: Stage) -> None:
    with pytest.raises(UsageError, match="at least one trusted key"):
        pyhash.verify(stage.model)
    finished = stage.commands.run(
        "run", stage.model, "--", "touch", stage.home / "started", directory=stage.home
    )
    assert finished.code == 2
    assert not (stage.home / "started").exists()


def test_private_key_in_place_of_the_public_one(stage: Stage) -> None:
    shutil.copyfile(stage.key, stage.trusted)
    stage.expect_refused(KeyFileError)


def test_one_trusted_key_of_two_is_enough_and_no_more_is_read_into_it(stage: Stage) -> None:
    both = [stage.home / "attacker.pub", stage.trusted]
    verified = stage.verify(keys=both)
    assert verified.key_hint == signing.load_verifier(stage.trusted).hint
    do.flip_byte(stage.model / do.SHARD_1, -1)
    with pytest.raises(DigestMismatchError):
        stage.verify(keys=both)


# --- the envelope -------------------------------------------------------------------------------


def _replace_payload(fields: Json) -> None:
    payload = base64.b64decode(fields["dsseEnvelope"]["payload"])
    fields["dsseEnvelope"]["payload"] = _base64(payload.replace(b"config.json", b"c0nfig.json"))


def _respell_payload(fields: Json) -> None:
    payload = json.loads(base64.b64decode(fields["dsseEnvelope"]["payload"]))
    fields["dsseEnvelope"]["payload"] = _base64(json.dumps(payload, indent=1).encode())


def _put(*names: str, value: object) -> Callable[[Json], object]:
    def change(fields: Json) -> None:
        for name in names[:-1]:
            fields = fields[name]
        fields[names[-1]] = value

    return change


def _double_signature(fields: Json) -> None:
    fields["dsseEnvelope"]["signatures"] *= 2


def _s_is_zero(fields: Json) -> None:
    r, _ = decode_dss_signature(base64.b64decode(fields["dsseEnvelope"]["signatures"][0]["sig"]))
    fields["dsseEnvelope"]["signatures"][0]["sig"] = _base64(encode_dss_signature(r, 0))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (_replace_payload, SignatureError),
        (_respell_payload, SignatureError),
        (_put("dsseEnvelope", "payload", value=_base64(b"{}")), SignatureError),
        (_put("dsseEnvelope", "payload", value=""), FormatError),
        (_put("dsseEnvelope", "payloadType", value="application/json"), SignatureError),
        (_put("dsseEnvelope", "payloadType", value=""), SignatureError),
        (_put("dsseEnvelope", "payloadType", value=None), FormatError),
        (_put("dsseEnvelope", "signatures", value=[]), FormatError),
        (_put("dsseEnvelope", "signatures", value=[{"sig": "", "keyid": ""}]), FormatError),
        (_put("dsseEnvelope", "signatures", value=[{"keyid": ""}]), FormatError),
        (_put("dsseEnvelope", "signatures", value=None), FormatError),
        (_put("dsseEnvelope", "signatures", value=[{"sig": "AA=="}]), SignatureError),
        (_s_is_zero, SignatureError),
        (_double_signature, FormatError),
        (_put("verificationMaterial", "publicKey", "hint", value="0" * 64), SignatureError),
        (_put("verificationMaterial", "publicKey", "hint", value="x"), SignatureError),
        (_put("verificationMaterial", value={}), FormatError),
        (_put("verificationMaterial", "tlogEntries", value=[{}]), FormatError),
        (
            _put("mediaType", value=f"{OLD_MEDIA_TYPE};version=0.2"),
            FormatError,
        ),
        (_put("mediaType", value="application/json"), FormatError),
        (_put("messageSignature", value={"signature": "AA=="}), FormatError),
        (lambda fields: fields.pop("dsseEnvelope"), FormatError),
    ],
)
def test_envelope(change: Callable[[Json], object], error: type[PyhashError], stage: Stage) -> None:
    _edit(stage, change)
    stage.expect_refused(error)


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_second_signature_by_the_attacker(first: bool, stage: Stage) -> None:
    payload = payload_of(stage)

    def add(fields: Json) -> None:
        signatures = fields["dsseEnvelope"]["signatures"]
        signatures.insert(0 if first else 1, _attackers_signature(stage, payload))

    _edit(stage, add)
    error = stage.expect_refused(FormatError)
    assert "2 signatures in one envelope" in str(error)


@pytest.mark.parametrize("payload", [b"", b"{}", b"no statement"])
def test_signature_over_something_else(payload: bytes, stage: Stage) -> None:
    if payload:
        sign_payload(stage, payload)
        stage.expect_refused(FormatError)
    # Without the encoding that binds its type.
    signature = ecdsa.load_private_key(stage.key).sign(payload_of(stage))
    _edit(stage, _put("dsseEnvelope", "signatures", value=[{"sig": _base64(signature)}]))
    stage.expect_refused(SignatureError)


def test_type_that_was_signed_but_is_no_statement(stage: Stage) -> None:
    payload, kind = payload_of(stage), "application/json"
    key = ecdsa.load_private_key(stage.key)
    envelope = signing.Envelope(payload, kind, (key.sign(pae(kind, payload)),))
    bundle = signing.Bundle(envelope, signing.Material(hint=key.hint))
    stage.bundle.write_bytes(signing.dump_bundle(bundle))
    error = stage.expect_refused(SignatureError)
    assert "the signature holds, but over 'application/json'" in str(error)


def test_length_confusion_of_the_encoding(stage: Stage) -> None:
    """Type and payload cut elsewhere, over the same concatenation."""
    payload = payload_of(stage)
    kind = signing.PAYLOAD_TYPE
    _edit(stage, _put("dsseEnvelope", "payloadType", value=f"{kind} {len(payload)}"))
    stage.expect_refused(SignatureError)


def _append(text: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data + text


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.decode().encode("utf-16"),
        _append(b"{}"),
        _append(b"\0"),
        lambda data: data.replace(b'{"mediaType"', b'{"mediaType":"x","mediaType"', 1),
        lambda data: data.replace(b'"payload":', b'"payload":"e30=","payload":', 1),
        lambda data: data.replace(b'"payload":', b'"p\\u0061yload":"e30=","payload":', 1),
        lambda data: data.replace(b'"payload":"', b'"payload":"\\n', 1),
        lambda data: b"[" * 10_000 + data,
        lambda data: b"[" + data + b"]",
    ],
)
def test_file_that_is_no_bundle(change: Callable[[bytes], bytes], stage: Stage) -> None:
    data = stage.bundle.read_bytes()
    changed = change(data)
    assert changed != data
    stage.bundle.write_bytes(changed)
    with pytest.raises(FormatError):
        stage.verify()
    stage.expect_not_started(FormatError)


def test_no_bundle(stage: Stage) -> None:
    stage.bundle.unlink()
    stage.expect_refused(UnsignedError)


# --- other checkpoints --------------------------------------------------------------------------


def _other(stage: Stage) -> Stage:
    other = Stage(
        stage.home,
        make_checkpoint(stage.home / "other", seed=1),
        stage.key,
        stage.trusted,
        stage.attacker,
        stage.commands,
    )
    pyhash.sign(other.model, stage.key)
    return other


def test_bundle_of_another_checkpoint(stage: Stage) -> None:
    other = _other(stage)
    for name in ("model.sig", "model.tree"):
        shutil.copyfile(other.model / name, stage.model / name)
    stage.expect_refused(DigestMismatchError, code="digest", path=do.SHARD_1)


def test_one_shard_of_another_release(stage: Stage) -> None:
    other = _other(stage)
    shutil.copyfile(other.model / do.SHARD_2, stage.model / do.SHARD_2)
    stage.expect_refused(DigestMismatchError, code="digest", path=do.SHARD_2)


def test_another_signed_checkpoint_as_a_whole(stage: Stage) -> None:
    # A policy of this version trusts keys, and each key for every checkpoint. What tells one
    # checkpoint of a publisher from another is the root, and that is told.
    before = stage.verify().root
    other = _other(stage)
    shutil.rmtree(stage.model)
    other.model.rename(stage.model)
    assert stage.expect_verified().root != before


# --- what is no attack --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields["verificationMaterial"].update(publicKey={}),
        lambda fields: fields["verificationMaterial"].pop("tlogEntries"),
        _put("dsseEnvelope", "signatures", value=None),
    ],
)
def test_same_payload_same_signature(change: Callable[[Json], object], stage: Stage) -> None:
    """The other spellings of one envelope verify, and mean the same."""
    before = stage.verify().manifest
    signature = read_json(stage.bundle)["dsseEnvelope"]["signatures"][0]["sig"]
    _edit(stage, change)

    def respell(fields: Json) -> None:
        r, s = decode_dss_signature(base64.b64decode(signature))
        other = _base64(encode_dss_signature(r, P256_ORDER - s))
        fields["dsseEnvelope"]["signatures"] = [{"sig": other, "keyid": "anything"}]

    _edit(stage, respell)
    assert stage.expect_verified().manifest == before
