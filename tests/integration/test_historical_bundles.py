# SPDX-License-Identifier: Apache-2.0
"""Bundles as model-signing wrote them before 1.1: refused, unless asked for by name.

Made here as those versions made them; that they are faithful is what the reference tool's own
reader of old bundles says.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

import pyhash
from pyhash import errors, signing
from pyhash.cli import group
from pyhash.signing import historical
from pyhash.signing.sigstore import SigstoreVerifier
from tests.support import authority, mutations, peer
from tests.support.old_bundles import (
    new_pae,
    old_pae,
    old_payload,
    old_statement,
    write_with_certificate,
    write_with_key,
)

FILES = {"config.json": b"{}", "weights/a.bin": bytes(range(99)), "quote's": b'"\\\n'}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    for name, data in FILES.items():
        mutations.add_file(directory / name, data)
    return directory


@pytest.fixture
def keys(tmp_path: Path) -> peer.KeyPair:
    return peer.make_key_pair(tmp_path / "keys")


def v02(model: Path, keys: peer.KeyPair) -> Path:
    """Version 0.2: old statement, old encoding, key inside."""
    write_with_key(model / "model.sig", keys, old_payload(FILES), old_pae)
    return model / "model.sig"


def v10(model: Path, keys: peer.KeyPair) -> Path:
    """Versions 0.3.1 to 1.0: today's statement and encoding, key inside."""
    peer_bundle = model.parent / "peer.sig"
    assert peer.peer_sign(model, keys, peer_bundle).returncode == 0
    payload = base64.b64decode(json.loads(peer_bundle.read_text())["dsseEnvelope"]["payload"])
    write_with_key(model / "model.sig", keys, payload, new_pae)
    return model / "model.sig"


VERSIONS = pytest.mark.parametrize("version", [v02, v10])
Version = Callable[[Path, peer.KeyPair], Path]


@VERSIONS
def test_refused_unless_asked_for(
    model: Path, keys: peer.KeyPair, version: Version, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    version(model, keys)
    with pytest.raises(errors.FormatError, match="--accept-historical"):
        pyhash.verify(model, keys=[keys.public])
    line = ("verify", str(model), "--key", str(keys.public))
    assert group.run(line) == 3
    assert b"--accept-historical" in capsysbinary.readouterr().err
    assert group.run((*line, "--accept-historical")) == 0


@VERSIONS
def test_the_peer_takes_them_too(model: Path, keys: peer.KeyPair, version: Version) -> None:
    """Which says that they are made as the old versions made them."""
    signature = version(model, keys)
    done = peer.peer_verify(
        *(model, keys.public, signature, "--ignore-paths", str(model / "model.sig"))
    )
    assert done.returncode == 0, done.stderr + done.stdout


@VERSIONS
def test_all_that_is_checked_of_others_is_checked(
    model: Path, keys: peer.KeyPair, version: Version, tmp_path: Path
) -> None:
    version(model, keys)
    how: dict[str, Any] = {"keys": [keys.public], "accept_historical": True}
    verified = pyhash.verify(model, **how)
    assert verified.key_hint == hashlib.sha256(keys.public.read_bytes()).hexdigest()
    assert [shard.path for shard in verified.manifest.shards] == sorted(FILES)
    mutations.flip_byte(model / "config.json", 0)
    with pytest.raises(errors.DigestMismatchError):
        pyhash.verify(model, **how)
    mutations.flip_byte(model / "config.json", 0)
    mutations.add_file(model / "extra")
    with pytest.raises(errors.UnexpectedFileError):
        pyhash.verify(model, **how)
    (model / "extra").unlink()
    (model / "weights/a.bin").unlink()
    with pytest.raises(errors.MissingShardError):
        pyhash.verify(model, **how)


@VERSIONS
def test_the_key_inside_is_not_trusted(
    model: Path, keys: peer.KeyPair, version: Version, tmp_path: Path
) -> None:
    version(model, keys)
    other = peer.make_key_pair(tmp_path / "other")
    with pytest.raises(errors.SignatureError, match="does not hold"):
        pyhash.verify(model, keys=[other.public], accept_historical=True)


@VERSIONS
def test_no_byte_of_the_payload_can_be_changed(
    model: Path, keys: peer.KeyPair, version: Version
) -> None:
    signature = version(model, keys)
    value = json.loads(signature.read_text())
    payload = bytearray(base64.b64decode(value["dsseEnvelope"]["payload"]))
    for index in range(0, len(payload), 37):
        payload[index] ^= 1
        value["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
        signature.write_text(json.dumps(value))
        with pytest.raises(errors.SignatureError):
            pyhash.verify(model, keys=[keys.public], accept_historical=True)
        payload[index] ^= 1


def test_today_s_bundles_are_read_with_the_flag_too(model: Path, keys: peer.KeyPair) -> None:
    pyhash.sign(model, keys.private)
    pyhash.verify(model, keys=[keys.public], accept_historical=True)


def test_single_file(tmp_path: Path, keys: peer.KeyPair) -> None:
    path = tmp_path / "alone.bin"
    path.write_bytes(b"alone")
    payload = json.dumps(old_statement({".": b"alone"})).encode()
    write_with_key(tmp_path / "alone.bin.sig", keys, payload, old_pae)
    assert pyhash.verify(path, keys=[keys.public], accept_historical=True).size == 5


def _subjects(value: object) -> Callable[[dict[str, Any]], None]:
    def change(statement: dict[str, Any]) -> None:
        statement["subject"] = value

    return change


def _first(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(statement: dict[str, Any]) -> None:
        statement["subject"][0][name] = value

    return change


FAULTS = {
    "no subject": (_subjects([]), "without any file"),
    "no array": (_subjects({}), "not an array"),
    "no object": (_subjects(["a"]), "not an object"),
    "escape": (_first("name", "../x"), "not relative"),
    "twice": (_first("name", "quote's"), "listed twice"),
    "two digests": (_first("digest", {"sha256": "0" * 64, "md5": ""}), "unknown field 'md5'"),
    "short": (_first("digest", {"sha256": "0" * 63}), "64 lowercase"),
    "extra": (_first("size", 1), "unknown field 'size'"),
    # Version 0.2 called every digest sha256, and said here which it really was.
    "other digest": (
        _first("annotations", {"actual_hash_algorithm": "file-blake2b"}),
        "'config.json' is not that of a whole file by SHA-256",
    ),
    "remark of other kind": (_first("annotations", None), "not that of a whole file by SHA-256"),
    "more remarks": (
        _first("annotations", {"actual_hash_algorithm": "file-sha256", "shard": "0"}),
        "not that of a whole file by SHA-256",
    ),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_unclear_statements_are_refused(
    model: Path, keys: peer.KeyPair, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    statement = old_statement(FILES)
    change(statement)
    write_with_key(model / "model.sig", keys, json.dumps(statement).encode(), old_pae)
    with pytest.raises(errors.FormatError, match=message):
        pyhash.verify(model, keys=[keys.public], accept_historical=True)


def test_what_is_no_message_has_no_old_encoding() -> None:
    with pytest.raises(errors.SignatureError):
        historical.old_encoding(b"text")


@pytest.mark.parametrize("text", ["[]", '{"verificationMaterial": 1}', "{}"])
def test_what_is_no_old_bundle_is_left_as_it_is(text: str) -> None:
    assert historical.modernize_bundle(text.encode(), "x") == text.encode()


def test_statements_without_the_remark_are_read(model: Path, keys: peer.KeyPair) -> None:
    statement = old_statement(FILES)
    for subject in statement["subject"]:
        del subject["annotations"]
    write_with_key(model / "model.sig", keys, json.dumps(statement).encode(), old_pae)
    pyhash.verify(model, keys=[keys.public], accept_historical=True)


# --- certificates ---------------------------------------------------------------------------------


CURVES = pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=lambda it: it.name)


@CURVES
def test_certificates_of_version_0_2(
    model: Path, tmp_path: Path, curve: ec.EllipticCurve, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Signed over SHA-256 for every curve; the reference tool says that it is what 0.2 made."""
    chain = authority.make_chain(tmp_path / "chain", curve)
    signature = model / "model.sig"
    write_with_certificate(signature, chain, old_payload(FILES))
    done = peer.run_model_signing(
        *("verify", "certificate", model, "--signature", signature),
        *("--certificate_chain", chain.root_file, "--ignore-paths", signature),
    )
    assert done.returncode == 0, done.stderr + done.stdout
    with pytest.raises(errors.SignatureError, match="does not hold"):
        pyhash.verify(model, keys=[chain.trust])
    verified = pyhash.verify(model, keys=[chain.trust], accept_historical=True)
    assert [shard.path for shard in verified.manifest.shards] == sorted(FILES)
    line = ("verify", str(model), "--key", chain.trust)
    assert group.run(line) == 1
    assert group.run((*line, "--accept-historical")) == 0
    mutations.flip_byte(model / "config.json", 0)
    assert group.run((*line, "--accept-historical")) == 1
    assert b"config.json" in capsysbinary.readouterr().err


def test_everything_about_a_certificate_is_checked(model: Path, tmp_path: Path) -> None:
    chain = authority.make_chain(tmp_path / "chain")
    other = authority.make_chain(tmp_path / "other")
    late = (authority.NOW + 99 * authority.DAY).isoformat()
    write_with_certificate(model / "model.sig", chain, old_payload(FILES))
    for trust, message in (
        (other.trust, "as version 0.2 signed: .* nothing leads from it to a trusted root"),
        (
            chain.trust.replace(authority.IDENTITY, "someone@example.org"),
            "as version 0.2 .* not of",
        ),
        (f"{chain.trust};at={late}", "as version 0.2 signed: .* expired at"),
    ):
        with pytest.raises(errors.SignatureError, match=message):
            pyhash.verify(model, keys=[trust], accept_historical=True)


@pytest.mark.parametrize(
    ("encode", "digest"), [(old_pae, hashes.SHA384()), (new_pae, hashes.SHA256())]
)
def test_certificates_with_another_digest_than_version_0_2(
    model: Path, tmp_path: Path, encode: Callable[[bytes], bytes], digest: hashes.HashAlgorithm
) -> None:
    """Neither the old encoding over today's digest nor today's over the old one was ever made."""
    chain = authority.make_chain(tmp_path / "chain", ec.SECP384R1())
    write_with_certificate(model / "model.sig", chain, old_payload(FILES), encode, digest)
    with pytest.raises(errors.SignatureError, match="does not hold"):
        pyhash.verify(model, keys=[chain.trust], accept_historical=True)


def test_a_certificate_s_signature_over_other_bytes(model: Path, tmp_path: Path) -> None:
    chain = authority.make_chain(tmp_path / "chain")
    signature = model / "model.sig"
    write_with_certificate(signature, chain, old_payload(FILES))
    value = json.loads(signature.read_text())
    payload = base64.b64decode(value["dsseEnvelope"]["payload"]).replace(b"config", b"konfig")
    value["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    signature.write_text(json.dumps(value))
    with pytest.raises(errors.SignatureError, match="does not hold"):
        pyhash.verify(model, keys=[chain.trust], accept_historical=True)


def test_other_kinds_have_nothing_old(tmp_path: Path) -> None:
    """Keyless identities stay as they were given; keys and certificates do not."""
    certificate = signing.load_verifier(authority.make_chain(tmp_path / "chain").trust)
    keyless = SigstoreVerifier("someone@example.org", "https://login.example.org", None)
    accepted = historical.accepting([keyless, certificate])
    assert accepted == (keyless, historical.HistoricalVerifier(certificate))
    assert accepted[1].hint == certificate.hint
