# SPDX-License-Identifier: Apache-2.0
"""Keyless signatures, verified by the real library, offline, against a private Sigstore."""

from __future__ import annotations

import base64
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from pyhash.errors import DependencyError, KeyFileError, SignatureError, UsageError
from pyhash.signing import (
    Verifier,
    distinct_signers,
    dump_bundle,
    key_files,
    load_bundle,
    load_signer,
    load_verifier,
    verify_envelope,
)
from tests.support.sigstore_stand_in import BEGIN, IDENTITY, ISSUER, SECOND, StandIn

PAYLOAD = (
    b'{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"00"}}],'
    b'"predicateType":"https://example.org/v1","predicate":{}}'
)
INSTANCE = StandIn()
GOOD = INSTANCE.bundle(PAYLOAD)
_ENTRY = ("verificationMaterial", "tlogEntries", 0)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection or asks for an address fails the test."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def reference(directory: Path, *, instance: StandIn = INSTANCE, **named: str) -> str:
    root = directory / "root.json"
    root.write_text(json.dumps(instance.trusted_root()))
    names = {"identity": IDENTITY, "issuer": ISSUER, **named}
    return f"sigstore:root={root};" + ";".join(f"{key}={value}" for key, value in names.items())


@pytest.fixture
def trusted(tmp_path: Path) -> Verifier:
    return load_verifier(reference(tmp_path))


def verify(bundle: dict[str, Any], verifier: Verifier) -> bytes:
    data = json.dumps(bundle).encode()
    return verify_envelope(load_bundle(data, "model.sig"), [verifier]).payload


def test_good_bundle(trusted: Verifier, tmp_path: Path) -> None:
    loaded = load_bundle(json.dumps(GOOD).encode(), "model.sig")
    verified = verify_envelope(loaded, [trusted])
    assert verified.payload == PAYLOAD
    signer = verified.signer
    assert (signer.kind, signer.name, signer.issuer) == ("sigstore", IDENTITY, ISSUER)
    assert load_bundle(dump_bundle(loaded), "model.sig") == loaded
    assert key_files(reference(tmp_path)) == (str(tmp_path / "root.json"),)
    assert IDENTITY in trusted.hint


def test_two_signatures_of_one_identity_count_once(trusted: Verifier) -> None:
    """Every keyless signature has a new key; the person is the same."""
    bundles = (
        load_bundle(json.dumps(INSTANCE.bundle(PAYLOAD)).encode(), "model.sig") for _ in range(2)
    )
    signers = [verify_envelope(one, [trusted]).signer for one in bundles]
    assert len(distinct_signers(signers)) == 1


def changed(*path: Any, value: Any) -> dict[str, Any]:
    bundle = json.loads(json.dumps(GOOD))
    place = bundle
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return dict(bundle)


def from_another(*path: Any) -> dict[str, Any]:
    """A part of another good bundle of the same identity, over another payload."""
    part: Any = INSTANCE.bundle(b"another payload")
    for step in path:
        part = part[step]
    return changed(*path, value=part)


def late() -> dict[str, Any]:
    bundle = INSTANCE.bundle(PAYLOAD)
    der = base64.b64decode(bundle["verificationMaterial"]["certificate"]["rawBytes"])
    from cryptography import x509

    certificate = x509.load_der_x509_certificate(der)
    signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
    entry = INSTANCE.log_entry(certificate, PAYLOAD, signature, at=BEGIN + 6000 * SECOND)
    bundle["verificationMaterial"]["tlogEntries"] = [entry]
    return bundle


REFUSED: dict[str, Callable[[], dict[str, Any]]] = {
    "other identity": lambda: INSTANCE.bundle(PAYLOAD, identity="other@example.org"),
    "other issuer": lambda: INSTANCE.bundle(PAYLOAD, issuer="https://evil.example.org"),
    "other instance": lambda: StandIn().bundle(PAYLOAD),
    # Log entry not bound to the artifact (CVE-2026-22703 and its kind).
    "log entry of another artifact": lambda: from_another(*_ENTRY),
    "body of another entry": lambda: from_another(*_ENTRY, "canonicalizedBody"),
    "certificate of another signature": lambda: from_another("verificationMaterial", "certificate"),
    "other payload": lambda: from_another("dsseEnvelope", "payload"),
    "other signature": lambda: from_another("dsseEnvelope", "signatures"),
    "other payload type": lambda: changed("dsseEnvelope", "payloadType", value="text/plain"),
    "no log entry that is one": lambda: changed(*_ENTRY, value={}),
    "log entry is a number": lambda: changed(*_ENTRY, value=1),
    "no inclusion proof": lambda: changed(*_ENTRY, "inclusionProof", value=None),
    "no promise": lambda: changed(*_ENTRY, "inclusionPromise", value=None),
    "another time": lambda: changed(*_ENTRY, "integratedTime", value="1767225700"),
    "signed after the certificate ended": late,
    "certificate that is none": lambda: changed(
        "verificationMaterial", "certificate", "rawBytes", value="AAAA"
    ),
    "two log entries": lambda: changed(
        "verificationMaterial",
        "tlogEntries",
        value=GOOD["verificationMaterial"]["tlogEntries"] * 2,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(trusted: Verifier, name: str) -> None:
    with pytest.raises(SignatureError):
        verify(REFUSED[name](), trusted)


def test_other_bytes_than_the_library_checked(trusted: Verifier) -> None:
    """Were the library to answer for something else, it is not believed."""
    answer = ("application/vnd.in-toto+json", b"other")
    with (
        patch("sigstore.verify.Verifier.verify_dsse", return_value=answer),
        pytest.raises(SignatureError, match="other bytes"),
    ):
        verify(GOOD, trusted)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"mediaType":"x"}', "\xff"])
def test_trusted_root_that_is_none(tmp_path: Path, text: str) -> None:
    where = reference(tmp_path)
    (tmp_path / "root.json").write_text(text, encoding="latin-1")
    with pytest.raises(KeyFileError, match="no usable trusted root"):
        load_verifier(where)


@pytest.mark.parametrize("missing", ["root", "identity", "issuer"])
def test_every_parameter_is_needed(tmp_path: Path, missing: str) -> None:
    pairs = reference(tmp_path).removeprefix("sigstore:").split(";")
    kept = ";".join(pair for pair in pairs if not pair.startswith(missing))
    with pytest.raises(UsageError, match=f"{missing} is missing"):
        load_verifier(f"sigstore:{kept}")


def test_without_the_extra(tmp_path: Path) -> None:
    with (
        patch.dict(sys.modules, {"sigstore.models": None}),
        pytest.raises(DependencyError, match="sigstore]"),
    ):
        load_verifier(reference(tmp_path))


# --- signing, up to the network -------------------------------------------------------------------


def token(**claims: Any) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    body = {
        "iss": ISSUER,
        "aud": "sigstore",
        "sub": IDENTITY,
        "email": IDENTITY,
        "email_verified": True,
        "iat": 1_700_000_000,
        "nbf": 1_700_000_000,
        "exp": 4_000_000_000,
        **claims,
    }
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(body)}."


@pytest.fixture
def config(tmp_path: Path) -> Path:
    service = {"majorApiVersion": 1, "validFor": {"start": "2026-01-01T00:00:00Z"}}
    services = {
        name: {**service, "url": f"https://{name}.example.invalid", "operator": "example"}
        for name in ("authority", "login", "log")
    }
    signing = {
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "caUrls": [services["authority"]],
        "oidcUrls": [services["login"]],
        "rekorTlogUrls": [services["log"]],
        "rekorTlogConfig": {"selector": "ANY"},
        "tsaUrls": [],
        "tsaConfig": {"selector": "ANY"},
    }
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
                "trustedRoot": INSTANCE.trusted_root(),
                "signingConfig": signing,
            }
        )
    )
    return path


def test_signer_knows_who_it_is(config: Path) -> None:
    signer = load_signer(f"sigstore:config={config}", passphrase=lambda _: token().encode())
    assert (signer.identity, signer.issuer) == (IDENTITY, ISSUER)  # type: ignore[attr-defined]
    assert len(signer.hint) == 64


def test_signing_with_services_that_answer(config: Path, trusted: Verifier) -> None:
    """What the library returns becomes a bundle that verifies; the services are the stand-in's."""
    from sigstore.models import Bundle

    signer = load_signer(f"sigstore:config={config}", passphrase=lambda _: token().encode())
    made = Bundle.from_json(json.dumps(GOOD))

    class Services:
        def sign_dsse(self, _: object) -> Bundle:
            return made

        def __enter__(self) -> Services:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    with patch("sigstore.sign.SigningContext.signer", return_value=Services()):
        from pyhash.signing import sign_payload

        bundle = sign_payload(PAYLOAD, signer)
        assert verify_envelope(bundle, [trusted]).signer.fingerprint == signer.hint
        with pytest.raises(KeyFileError, match="signed other bytes"):
            sign_payload(PAYLOAD + b" ", signer)


def test_signing_without_a_network(config: Path) -> None:
    signer = load_signer(f"sigstore:config={config}", passphrase=lambda _: token().encode())
    import requests

    with (
        patch("requests.Session.request", side_effect=requests.ConnectionError("unreachable")),
        pytest.raises(KeyFileError, match="not signed"),
    ):
        signer.seal(PAYLOAD)


@pytest.mark.parametrize("secret", [b"", b"x", b"\xff", token(exp=1).encode()])
def test_tokens_that_are_none(config: Path, secret: bytes) -> None:
    with pytest.raises(KeyFileError, match="no usable identity token"):
        load_signer(f"sigstore:config={config}", passphrase=lambda _: secret)


def test_token_file(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text(token())
    load_signer(f"sigstore:config={config};token-file={path}")
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="lets others reach"):
        load_signer(f"sigstore:config={config};token-file={path}")
    with pytest.raises(UsageError, match="no identity token"):
        load_signer(f"sigstore:config={config}")
    config.write_text("{}")
    with pytest.raises(KeyFileError, match="no usable trust configuration"):
        load_signer(f"sigstore:config={config}", passphrase=lambda _: b"x")
