# SPDX-License-Identifier: Apache-2.0
"""The signature file: the OMS vector, and every field that can be wrong.

Who may have signed is in test_envelope.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyhash import limits
from pyhash.errors import FormatError, LimitError
from pyhash.signing import (
    PAYLOAD_TYPE,
    Bundle,
    Envelope,
    Identity,
    Material,
    VerifiedPayload,
    dump_bundle,
    load_bundle,
    load_verifier,
    verify_envelope,
)
from pyhash.signing.ecdsa import generate_key

_OMS = Path(__file__).resolve().parents[1] / "vectors" / "oms"
_VECTOR = (_OMS / "tiny-model.sig").read_bytes()
_STATEMENT = (_OMS / "tiny-model.statement.json").read_bytes()
_HINT = "3478c9e99c2c2056c2d5a8b17ee35f495d9986fd150dd651b04f644460bf2464"
_KEY = load_verifier(_OMS / "tiny-model.pub")
_SIGNER = generate_key()
_STRANGER = generate_key()

Json = dict[str, Any]


def _dump(value: object) -> bytes:
    return json.dumps(value).encode("utf-8")


def _vector() -> Json:
    return dict(json.loads(_VECTOR))


# --- what is accepted -------------------------------------------------------------------------


def test_oms_vector() -> None:
    bundle = load_bundle(_VECTOR, "model.sig")
    assert bundle.hint == _HINT
    assert bundle.envelope.payload == _STATEMENT
    assert bundle.envelope.payload_type == "application/vnd.in-toto+json"
    verified = verify_envelope(bundle, [_KEY])
    assert verified == VerifiedPayload(
        _STATEMENT, PAYLOAD_TYPE, _KEY, Identity("key", _HINT, _HINT)
    )


def test_dump_writes_the_vector() -> None:
    assert dump_bundle(load_bundle(_VECTOR, "model.sig")) == _VECTOR


def _set_keyid(value: object) -> Callable[[Json], object]:
    return lambda fields: fields["dsseEnvelope"]["signatures"][0].update(keyid=value)


def _set_material(**values: object) -> Callable[[Json], object]:
    return lambda fields: fields["verificationMaterial"].update(values)


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields["dsseEnvelope"]["signatures"][0].pop("keyid"),
        _set_keyid(None),
        _set_keyid(""),
        _set_keyid("anything: it plays no part"),
        lambda fields: fields["verificationMaterial"].pop("tlogEntries"),
        _set_material(timestampVerificationData={}),
    ],
)
def test_spellings_of_other_tools(change: Callable[[Json], object]) -> None:
    fields = _vector()
    change(fields)
    assert load_bundle(_dump(fields), "model.sig") == load_bundle(_VECTOR, "model.sig")


def test_spacing_and_escapes_do_not_matter() -> None:
    spaced = json.dumps(_vector(), indent=2).replace("/", "\\u002f").encode("ascii")
    bundle = load_bundle(spaced, "model.sig")
    assert verify_envelope(bundle, [_KEY]).payload == _STATEMENT


@pytest.mark.parametrize("public_key", [{}, {"hint": ""}, {"hint": None}])
def test_missing_hint(public_key: Json) -> None:
    fields = _vector()
    fields["verificationMaterial"]["publicKey"] = public_key
    bundle = load_bundle(_dump(fields), "model.sig")
    assert bundle.hint is None
    keys = [_STRANGER.public_key, _KEY, _SIGNER.public_key]
    assert verify_envelope(bundle, keys).key == _KEY
    assert load_bundle(dump_bundle(bundle), "model.sig") == bundle


# --- what is refused --------------------------------------------------------------------------


def _pop(*place: str) -> Callable[[Json], object]:
    def change(fields: Json) -> object:
        for name in place[:-1]:
            fields = fields[name]
        return fields.pop(place[-1])

    return change


def _put(value: object, *place: str | int) -> Callable[[Json], object]:
    def change(fields: Any) -> None:
        for name in place[:-1]:
            fields = fields[name]
        fields[place[-1]] = value

    return change


_ENVELOPE, _MATERIAL = "dsseEnvelope", "verificationMaterial"
_FIRST = (_ENVELOPE, "signatures", 0)
_REFUSED: dict[str, tuple[Callable[[Json], object], str]] = {
    "no media type": (_pop("mediaType"), "no field 'mediaType'"),
    "no material": (_pop(_MATERIAL), "no field 'verificationMaterial'"),
    "no envelope": (_pop(_ENVELOPE), "no field 'dsseEnvelope'"),
    "no payload": (_pop(_ENVELOPE, "payload"), "no field 'payload'"),
    "no payload type": (_pop(_ENVELOPE, "payloadType"), "no field 'payloadType'"),
    "no signatures": (_pop(_ENVELOPE, "signatures"), "no field 'signatures'"),
    "no signature bytes": (lambda f: f[_ENVELOPE]["signatures"][0].pop("sig"), "no field 'sig'"),
    "empty signatures": (_put([], _ENVELOPE, "signatures"), "no signature"),
    "unknown in bundle": (_put(1, "extra"), "the bundle has the unknown field 'extra'"),
    "unknown in material": (_put(1, _MATERIAL, "extra"), "unknown field 'extra'"),
    "unknown in key": (_put(1, _MATERIAL, "publicKey", "extra"), "unknown field 'extra'"),
    "unknown in envelope": (_put(1, _ENVELOPE, "extra"), "unknown field 'extra'"),
    "unknown in signature": (_put(1, *_FIRST, "extra"), "unknown field 'extra'"),
    "both contents": (
        _put({"messageDigest": {}}, "messageSignature"),
        "unknown field 'messageSignature'",
    ),
    "media type": (_put("text/plain", "mediaType"), "mediaType is 'text/plain'"),
    "media type is no string": (_put(3, "mediaType"), "mediaType is an integer"),
    "newer media type": (
        _put("application/vnd.dev.sigstore.bundle.v0.4+json", "mediaType"),
        "mediaType is 'application/vnd.dev.sigstore.bundle.v0.4",
    ),
    "older media type": (
        _put("application/vnd.dev.sigstore.bundle+json;version=0.3", "mediaType"),
        "old form of the bundle, mediaType",
    ),
    "raw key": (
        _put({"rawBytes": "LS0t", "keyDetails": "PKIX"}, _MATERIAL, "publicKey"),
        r"old form of the bundle.*rawBytes.*before 1\.1",
    ),
    "raw key beside a hint": (_put("LS0t", _MATERIAL, "publicKey", "rawBytes"), "old form"),
    "certificate": (
        _put({"x509CertificateChain": {"certificates": []}}, _MATERIAL),
        "holds no certificate",
    ),
    "certificate beside a key": (
        _put({"certificates": []}, _MATERIAL, "x509CertificateChain"),
        "names several signers: publicKey, x509CertificateChain",
    ),
    "keyless without a log entry": (
        _put({"certificate": {"rawBytes": "MII="}, "tlogEntries": []}, _MATERIAL),
        "without a log entry",
    ),
    "keyless with many log entries": (
        _put({"certificate": {"rawBytes": "MII="}, "tlogEntries": [{}] * 17}, _MATERIAL),
        "17 log entries, above the cap of 16",
    ),
    "keyless certificate is no base64": (
        _put({"certificate": {"rawBytes": "?"}, "tlogEntries": [{}]}, _MATERIAL),
        "base64",
    ),
    "keyless with another field": (
        _put({"certificate": {"rawBytes": "MII="}, "tlogEntries": [{}], "x": 1}, _MATERIAL),
        "unknown field 'x'",
    ),
    "many certificates": (
        _put({"x509CertificateChain": {"certificates": [{"rawBytes": "MII="}] * 17}}, _MATERIAL),
        "17 certificates, above the cap of 16",
    ),
    "certificate with another field": (
        _put({"x509CertificateChain": {"certificates": [{"rawBytes": "MII=", "x": 1}]}}, _MATERIAL),
        "unknown field 'x'",
    ),
    "log entries beside a certificate": (
        _put(
            {
                "x509CertificateChain": {"certificates": [{"rawBytes": "MII="}]},
                "tlogEntries": [{}],
            },
            _MATERIAL,
        ),
        "log entries beside a certificate",
    ),
    "timestamps of a keyless signature are no object": (
        _put(
            {
                "certificate": {"rawBytes": "MII="},
                "tlogEntries": [{}],
                "timestampVerificationData": [],
            },
            _MATERIAL,
        ),
        "timestamps is an array",
    ),
    "no key": (_put({"tlogEntries": []}, _MATERIAL), "no field 'publicKey'"),
    "material is no object": (_put([], _MATERIAL), "verificationMaterial is an array"),
    "key is no object": (_put("key", _MATERIAL, "publicKey"), "publicKey is a string"),
    "hint is no string": (_put(5, _MATERIAL, "publicKey", "hint"), "publicKey.hint is an int"),
    "log entries": (_put([{}], _MATERIAL, "tlogEntries"), "log entries beside a plain key"),
    "log entries null": (_put(None, _MATERIAL, "tlogEntries"), "tlogEntries is null"),
    "timestamps": (
        _put({"rfc3161Timestamps": []}, _MATERIAL, "timestampVerificationData"),
        "timestamps beside a plain key",
    ),
    "envelope is no object": (_put(None, _ENVELOPE), "dsseEnvelope is null"),
    "payload is no string": (_put({}, _ENVELOPE, "payload"), "the payload is an object"),
    "payload type is no string": (_put(1, _ENVELOPE, "payloadType"), "payloadType is an integer"),
    "signatures are no array": (_put({}, _ENVELOPE, "signatures"), "signatures is an object"),
    "signature is no object": (_put("MEY=", *_FIRST), "a signature is a string"),
    "keyid is no string": (_put(1, *_FIRST, "keyid"), "keyid is an integer"),
}


@pytest.mark.parametrize("name", _REFUSED)
def test_refused(name: str) -> None:
    change, message = _REFUSED[name]
    fields = _vector()
    change(fields)
    with pytest.raises(FormatError, match=message) as caught:
        load_bundle(_dump(fields), "some/model.sig")
    assert caught.value.path == "some/model.sig"
    assert str(caught.value).startswith("some/model.sig: ")


def test_keyless_material_is_kept_as_it_is() -> None:
    fields = _vector()
    material = {"certificate": {"rawBytes": "MII="}, "tlogEntries": [{"logIndex": "1"}]}
    fields[_MATERIAL] = material
    bundle = load_bundle(_dump(fields), "model.sig")
    assert bundle.material.kind == "sigstore"
    assert json.loads(bundle.material.document) == material
    assert load_bundle(dump_bundle(bundle), "model.sig") == bundle


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"\xef\xbb\xbf" + _VECTOR,
        _VECTOR + b"{}",
        _VECTOR[:-1],
        _VECTOR[:-1] + b',"mediaType":"x"}',
        _VECTOR.replace(b'"payload"', b'"payl\\u006fad":"","payload"'),
    ],
)
def test_not_a_bundle(data: bytes) -> None:
    with pytest.raises(FormatError):
        load_bundle(data, "model.sig")


@pytest.mark.parametrize("place", [(_ENVELOPE, "payload"), (*_FIRST, "sig")])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "=",
        "QQ",  # no padding
        "QQ=",
        "QQ==\n",
        " QQ==",
        "Q Q==",
        "QR==",  # stray bits: decodes to the same as QQ==
        "QUF=",  # stray bits: the same as QUE=
        "QQ==QQ==",
        "QQ==QQ",
        "-_8=",  # the alphabet for URLs
        "QQ\u003d\u00e9",
        "\uff31\uff31\uff1d\uff1d",  # full-width letters
        "Q\u0000Q==",
        "Q",
    ],
)
def test_base64_has_one_spelling(text: str, place: tuple[str | int, ...]) -> None:
    fields = _vector()
    _put(text, *place)(fields)
    with pytest.raises(FormatError, match="base64"):
        load_bundle(_dump(fields), "model.sig")


# --- caps -------------------------------------------------------------------------------------


def test_size_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_BUNDLE_BYTES", len(_VECTOR))
    bundle = load_bundle(_VECTOR, "model.sig")
    assert dump_bundle(bundle) == _VECTOR
    with pytest.raises(LimitError):
        load_bundle(_VECTOR + b" ", "model.sig")
    monkeypatch.setattr(limits, "MAX_BUNDLE_BYTES", len(_VECTOR) - 1)
    with pytest.raises(LimitError, match=f"would have {len(_VECTOR)} bytes"):
        dump_bundle(bundle)


def test_signature_cap() -> None:
    fields = _vector()
    entry = fields[_ENVELOPE]["signatures"][0]
    fields[_ENVELOPE]["signatures"] = [entry] * limits.MAX_SIGNATURES
    bundle = load_bundle(_dump(fields), "model.sig")
    assert len(bundle.envelope.signatures) == limits.MAX_SIGNATURES == 16
    fields[_ENVELOPE]["signatures"].append(entry)
    with pytest.raises(LimitError, match="17 signatures, above the cap of 16"):
        load_bundle(_dump(fields), "model.sig")


# --- properties -------------------------------------------------------------------------------

_TEXT = st.text(st.characters(exclude_categories=("Cs",)))


@given(
    st.builds(
        Bundle,
        st.builds(
            Envelope,
            st.binary(min_size=1),
            _TEXT,
            st.lists(st.binary(min_size=1), min_size=1, max_size=16).map(tuple),
        ),
        st.builds(Material, hint=st.none() | _TEXT.filter(bool))
        | st.lists(st.binary(min_size=1), min_size=1, max_size=16).map(
            lambda chain: Material("certificate", certificates=tuple(chain))
        ),
    )
)
def test_load_gives_back_what_was_dumped(bundle: Bundle) -> None:
    data = dump_bundle(bundle)
    assert load_bundle(data, "model.sig") == bundle
    assert dump_bundle(load_bundle(data, "model.sig")) == data


@pytest.mark.parametrize("field", ["certificates", "log entries"])
def test_caps_of_certificates_and_log_entries(field: str) -> None:
    def material(count: int) -> Json:
        one = {"rawBytes": "MII="}
        if field == "certificates":
            return {"x509CertificateChain": {"certificates": [one] * count}}
        return {"certificate": one, "tlogEntries": [{}] * count}

    fields = _vector()
    fields["verificationMaterial"] = material(limits.MAX_CERTIFICATES)
    load_bundle(_dump(fields), "model.sig")
    fields["verificationMaterial"] = material(limits.MAX_CERTIFICATES + 1)
    with pytest.raises(LimitError, match=f"17 {field}, above the cap of 16"):
        load_bundle(_dump(fields), "model.sig")
