# SPDX-License-Identifier: Apache-2.0
"""Who may have signed: trusted keys, hints, confusion of types, and every changed byte."""

from __future__ import annotations

import ast
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

import pyhash
from pyhash.errors import FormatError, SignatureError, UsageError
from pyhash.signing import (
    PAYLOAD_TYPE,
    Bundle,
    Envelope,
    Identity,
    Material,
    distinct_signers,
    dump_bundle,
    load_bundle,
    load_verifier,
    sign_payload,
    verify_cosignatures,
    verify_envelope,
)
from pyhash.signing.dsse import pae
from pyhash.signing.ecdsa import PublicKey, generate_key, public_key
from tests.support import authority

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


# --- who signed -------------------------------------------------------------------------------


def _bundle(
    payload: bytes = b"payload",
    *,
    payload_type: str = PAYLOAD_TYPE,
    signed_type: str | None = None,
    hint: str | None = _SIGNER.hint,
) -> Bundle:
    signature = _SIGNER.sign(pae(signed_type or payload_type, payload))
    return Bundle(Envelope(payload, payload_type, (signature,)), Material(hint=hint))


def test_sign_and_verify() -> None:
    bundle = sign_payload(b"payload", _SIGNER)
    assert bundle.hint == _SIGNER.hint
    keys = [_STRANGER.public_key, _SIGNER.public_key]
    verified = verify_envelope(load_bundle(dump_bundle(bundle), "model.sig"), keys)
    assert verified.payload == b"payload"
    assert verified.key == _SIGNER.public_key


def test_kinds_are_not_confused(tmp_path: Path) -> None:
    """Who is trusted as a key is not trusted as a certificate, nor the other way round."""
    chain = authority.make_chain(tmp_path / "chain")
    key = public_key(chain.leaf.certificate.public_key())
    certificate = load_verifier(chain.trust)
    signature = chain.leaf.key.sign(pae(PAYLOAD_TYPE, b"x"), ec.ECDSA(hashes.SHA256()))
    envelope = Envelope(b"x", PAYLOAD_TYPE, (signature,))
    der = (chain.leaf.der(), chain.middle.der())
    by_key = Bundle(envelope, Material("key"))
    by_certificate = Bundle(envelope, Material("certificate", certificates=der))
    assert verify_envelope(by_key, [certificate, key]).key == key
    assert verify_envelope(by_certificate, [key, certificate]).key == certificate
    for bundle, trusted, kind in (
        (by_key, certificate, "a plain key"),
        (by_certificate, key, "a certificate"),
    ):
        message = f"b: signed by {kind} .* and nothing of that kind is trusted; trusted: "
        with pytest.raises(SignatureError, match=message):
            verify_envelope(bundle, [trusted], path="b")


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
    changed = Bundle(Envelope(b"pazload", PAYLOAD_TYPE, good.envelope.signatures), good.material)
    with pytest.raises(SignatureError, match="does not hold for any trusted key"):
        verify_envelope(changed, [_SIGNER.public_key, _STRANGER.public_key])


def test_payload_is_not_looked_into_before_the_signature_holds() -> None:
    """Bytes that no parser would take are refused as unsigned, not as malformed."""
    fields = _vector()
    fields["dsseEnvelope"]["payload"] = base64.b64encode(b"\xff{not a statement").decode()
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
    bundle = Bundle(
        Envelope(b"payload", PAYLOAD_TYPE, (_SIGNER.sign(b"payload"),)), Material(hint=_SIGNER.hint)
    )
    with pytest.raises(SignatureError):
        verify_envelope(bundle, [_SIGNER.public_key])


@pytest.mark.parametrize("position", [0, 1])
def test_more_than_one_signature(position: int) -> None:
    good = _bundle()
    signatures = [_STRANGER.sign(pae(PAYLOAD_TYPE, b"payload"))]
    signatures.insert(position, good.envelope.signatures[0])
    bundle = Bundle(
        Envelope(b"payload", PAYLOAD_TYPE, tuple(signatures)), Material(hint=_SIGNER.hint)
    )
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
    assert makers == {"envelope.py"}


# --- changed bytes ----------------------------------------------------------------------------


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


# --- who counts -------------------------------------------------------------------------------


def _signer(fingerprint: str, name: str, kind: str = "certificate", issuer: str = "CA") -> Identity:
    return Identity(kind, name, fingerprint, issuer)


@pytest.mark.parametrize(
    ("signers", "count"),
    [
        ([], 0),
        ([("1", "a"), ("2", "b")], 2),
        ([("1", "a"), ("1", "a")], 1),
        ([("1", "a"), ("1", "b")], 1),
        ([("1", "a"), ("2", "a")], 1),
        # Two that hang together through the third, in every order.
        ([("1", "a"), ("2", "b"), ("1", "b")], 1),
        ([("1", "b"), ("1", "a"), ("2", "b")], 1),
        ([("1", "a"), ("1", "b"), ("2", "b")], 1),
        ([("1", "a", "certificate", "X"), ("2", "a", "certificate", "Y")], 2),
        ([("1", "1", "key", ""), ("1", "a")], 1),
    ],
)
def test_each_signer_counts_once(signers: list[tuple[str, ...]], count: int) -> None:
    assert len(distinct_signers([_signer(*one) for one in signers])) == count


def test_cosignatures() -> None:
    bundles = [sign_payload(b"payload", one) for one in (_SIGNER, _STRANGER, _SIGNER)]
    keys = [_SIGNER.public_key, _STRANGER.public_key]
    found = verify_cosignatures(b"payload", bundles, keys)
    assert {one.fingerprint for one in found} == {_SIGNER.hint, _STRANGER.hint}
    assert len(found) == 2
    with pytest.raises(SignatureError, match=r"signature 2.*not trusted"):
        verify_cosignatures(b"payload", bundles, keys[:1])
    with pytest.raises(SignatureError, match="signature 2: over another statement"):
        verify_cosignatures(b"payload", [bundles[0], sign_payload(b"x", _STRANGER)], keys)
