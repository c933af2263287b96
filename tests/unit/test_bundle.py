# SPDX-License-Identifier: Apache-2.0
"""The signature file: the OMS vector, every field that can be wrong, and who may have signed."""

from __future__ import annotations

import ast
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyhash
from pyhash import limits
from pyhash.errors import FormatError, LimitError, SignatureError, UsageError
from pyhash.signing import (
    PAYLOAD_TYPE,
    Bundle,
    Envelope,
    VerifiedPayload,
    dump_bundle,
    load_bundle,
    load_verifier,
    sign_payload,
    verify_envelope,
)
from pyhash.signing.dsse import pae
from pyhash.signing.ecdsa import PublicKey, generate_key

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
    assert verified == VerifiedPayload(_STATEMENT, PAYLOAD_TYPE, _KEY)


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
        "method 'certificate'.*cannot check",
    ),
    "certificate beside a key": (
        _put({"certificates": []}, _MATERIAL, "x509CertificateChain"),
        "method 'certificate'",
    ),
    "keyless": (
        _put({"certificate": {"rawBytes": "MII="}, "tlogEntries": [{}]}, _MATERIAL),
        "method 'sigstore'.*cannot check",
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


# --- who signed -------------------------------------------------------------------------------


def _bundle(
    payload: bytes = b"payload",
    *,
    payload_type: str = PAYLOAD_TYPE,
    signed_type: str | None = None,
    hint: str | None = _SIGNER.hint,
) -> Bundle:
    signature = _SIGNER.sign(pae(signed_type or payload_type, payload))
    return Bundle(Envelope(payload, payload_type, (signature,)), hint)


def test_sign_and_verify() -> None:
    bundle = sign_payload(b"payload", _SIGNER)
    assert bundle.hint == _SIGNER.hint
    keys = [_STRANGER.public_key, _SIGNER.public_key]
    verified = verify_envelope(load_bundle(dump_bundle(bundle), "model.sig"), keys)
    assert verified.payload == b"payload"
    assert verified.key == _SIGNER.public_key


def test_no_key_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(UsageError):
        verify_envelope(_bundle(), [])


def test_key_that_is_not_trusted_names_both_hints() -> None:
    with pytest.raises(SignatureError) as caught:
        verify_envelope(_bundle(), [_STRANGER.public_key, _KEY], path="model.sig")
    for part in ("model.sig", _SIGNER.hint, _STRANGER.hint, _HINT):
        assert part in str(caught.value)


def test_long_hint_is_cut_and_escaped_in_the_message() -> None:
    with pytest.raises(SignatureError) as caught:
        verify_envelope(_bundle(hint="\x1b[31m" + "x" * 100_000), [_KEY])
    assert len(str(caught.value)) < 1000
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("hint", [_SIGNER.hint.upper(), _SIGNER.hint + "0", "0" * 64])
def test_hint_must_be_exact(hint: str) -> None:
    with pytest.raises(SignatureError, match="not trusted"):
        verify_envelope(_bundle(hint=hint), [_SIGNER.public_key])


def test_hint_of_another_trusted_key() -> None:
    """The hint chooses; it does not fall back to keys that it does not name."""
    keys = [_SIGNER.public_key, _STRANGER.public_key]
    with pytest.raises(SignatureError, match=f"names the key {_STRANGER.hint}"):
        verify_envelope(_bundle(hint=_STRANGER.hint), keys)


@pytest.mark.parametrize("hint", [None, _SIGNER.hint])
def test_changed_payload(hint: str | None) -> None:
    good = _bundle(hint=hint)
    changed = Bundle(Envelope(b"pazload", PAYLOAD_TYPE, good.envelope.signatures), hint)
    with pytest.raises(SignatureError, match="does not hold for any trusted key"):
        verify_envelope(changed, [_SIGNER.public_key, _STRANGER.public_key])


def test_payload_is_not_looked_into_before_the_signature_holds() -> None:
    """Bytes that no parser would take are refused as unsigned, not as malformed."""
    fields = _vector()
    fields[_ENVELOPE]["payload"] = base64.b64encode(b"\xff{not a statement").decode()
    with pytest.raises(SignatureError):
        verify_envelope(load_bundle(_dump(fields), "model.sig"), [_KEY])


def test_changed_payload_type() -> None:
    with pytest.raises(SignatureError, match="does not hold"):
        verify_envelope(
            _bundle(payload_type="text/plain", signed_type=PAYLOAD_TYPE), [_SIGNER.public_key]
        )
    with pytest.raises(SignatureError, match="does not hold"):
        verify_envelope(
            _bundle(payload_type=PAYLOAD_TYPE, signed_type="text/plain"), [_SIGNER.public_key]
        )


@pytest.mark.parametrize("payload_type", ["text/plain", "", PAYLOAD_TYPE + " ", "\x1b" * 999])
def test_signature_over_something_else(payload_type: str) -> None:
    """The key is trusted and the signature holds, but no statement was signed."""
    with pytest.raises(SignatureError, match="the signature holds, but over") as caught:
        verify_envelope(_bundle(payload_type=payload_type), [_SIGNER.public_key])
    assert "\x1b" not in str(caught.value)


def test_signature_without_the_encoding() -> None:
    """A signature over the bare payload, as a tool that knows no DSSE makes it."""
    bundle = Bundle(Envelope(b"payload", PAYLOAD_TYPE, (_SIGNER.sign(b"payload"),)), _SIGNER.hint)
    with pytest.raises(SignatureError):
        verify_envelope(bundle, [_SIGNER.public_key])


@pytest.mark.parametrize("position", [0, 1])
def test_more_than_one_signature(position: int) -> None:
    good = _bundle()
    signatures = [_STRANGER.sign(pae(PAYLOAD_TYPE, b"payload"))]
    signatures.insert(position, good.envelope.signatures[0])
    bundle = Bundle(Envelope(b"payload", PAYLOAD_TYPE, tuple(signatures)), _SIGNER.hint)
    with pytest.raises(FormatError, match="2 signatures in one envelope"):
        verify_envelope(bundle, [_SIGNER.public_key])


def test_the_first_key_that_holds_is_named() -> None:
    verified = verify_envelope(_bundle(hint=None), [_STRANGER.public_key, _SIGNER.public_key])
    assert isinstance(verified.key, PublicKey)
    assert verified.key == _SIGNER.public_key


def test_only_one_place_makes_verified_payloads() -> None:
    makers = set()
    for path in Path(pyhash.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and "VerifiedPayload" in ast.unparse(node.func):
                makers.add(path.name)
    assert makers == {"bundle.py"}


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
        st.none() | _TEXT.filter(bool),
    )
)
def test_load_gives_back_what_was_dumped(bundle: Bundle) -> None:
    data = dump_bundle(bundle)
    assert load_bundle(data, "model.sig") == bundle
    assert dump_bundle(load_bundle(data, "model.sig")) == data


def _check_changed(data: bytes) -> None:
    """A changed bundle is refused, or it still says exactly what was signed."""
    try:
        verified = verify_envelope(load_bundle(data, "model.sig"), [_KEY])
    except (SignatureError, FormatError):
        return
    assert verified.payload == _STATEMENT


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_every_changed_byte(mask: int) -> None:
    for position in range(len(_VECTOR)):
        data = bytearray(_VECTOR)
        data[position] ^= mask
        _check_changed(bytes(data))


@given(st.integers(0, len(_VECTOR) - 1), st.integers(1, 255))
def test_any_changed_byte(position: int, mask: int) -> None:
    data = bytearray(_VECTOR)
    data[position] ^= mask
    _check_changed(bytes(data))


@given(st.integers(0, len(_VECTOR)), st.integers(0, len(_VECTOR)), st.binary(max_size=8))
def test_any_replaced_run(start: int, end: int, run: bytes) -> None:
    _check_changed(_VECTOR[:start] + run + _VECTOR[end:])
