# SPDX-License-Identifier: Apache-2.0
"""The signature file: Sigstore bundle v0.3 JSON around a DSSE envelope, as OMS v1.0 wants it.

Reads and writes the file, signs a payload, and checks the signature over a payload. It never looks
into the payload: what it says is for ``manifest.py``, and only after ``verify_envelope``. Method
``key`` only; certificates and keyless signatures are named in the refusal.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass

from pyhash import limits
from pyhash.errors import FormatError, LimitError, SignatureError, UsageError
from pyhash.signing._base import Signer, Verifier
from pyhash.signing.dsse import PAYLOAD_TYPE, Envelope, VerifiedPayload, pae
from pyhash.strict_json import (
    JsonValue,
    expect_array,
    expect_fields,
    expect_object,
    expect_string,
    load_json,
    show,
)

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"

# Spellings that tools wrote before MEDIA_TYPE was settled; the reference tool refuses them too.
_OLD_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle+json;version="
_OTHER_MATERIAL = {
    "x509CertificateChain": "a certificate (method 'certificate')",
    "certificate": "a keyless identity (method 'sigstore')",
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A signature file that has been read and not yet checked.

    Attributes:
        envelope: The payload and its signatures.
        hint: Which key signed, as the file claims; None when it does not say.
    """

    envelope: Envelope
    hint: str | None


def load_bundle(data: bytes, path: str) -> Bundle:
    """Read a signature file strictly. Pure, thread-safe.

    Args:
        data: The whole file.
        path: Where it came from, for messages.

    Returns:
        What the file says; nothing of it is verified.

    Raises:
        LimitError: The file, or the number of signatures, is above its cap.
        FormatError: Not such a file, an old form of it, or a signing method that this version
            cannot check.
    """
    parsed = load_json(data, path=path, max_bytes=limits.MAX_BUNDLE_BYTES)
    fields = expect_fields(
        parsed,
        "the bundle",
        path,
        required=("mediaType", "verificationMaterial", "dsseEnvelope"),
    )
    _check_media_type(expect_string(fields["mediaType"], "mediaType", path), path)
    hint = _load_material(fields["verificationMaterial"], path)
    return Bundle(_load_envelope(fields["dsseEnvelope"], path), hint)


def dump_bundle(bundle: Bundle) -> bytes:
    """Write a signature file: one line of JSON, always the same for the same bundle.

    Pure, thread-safe.

    Args:
        bundle: What to write.

    Returns:
        The whole file.

    Raises:
        LimitError: The file would be larger than what ``load_bundle`` reads.
    """
    envelope = bundle.envelope
    data = json.dumps(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {
                "publicKey": {} if bundle.hint is None else {"hint": bundle.hint},
                "tlogEntries": [],
            },
            "dsseEnvelope": {
                "payload": _encode_base64(envelope.payload),
                "payloadType": envelope.payload_type,
                "signatures": [
                    {"sig": _encode_base64(signature), "keyid": ""}
                    for signature in envelope.signatures
                ],
            },
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode("utf-8")
    if len(data) > limits.MAX_BUNDLE_BYTES:
        raise LimitError(
            f"the bundle would have {len(data)} bytes, above the cap of {limits.MAX_BUNDLE_BYTES}"
        )
    return data


def sign_payload(payload: bytes, signer: Signer) -> Bundle:
    """Sign a payload and put it into a bundle. Thread-safe if the signer is.

    Args:
        payload: The exact bytes of the statement.
        signer: What signs.

    Returns:
        The bundle, not written anywhere.

    Raises:
        CheckError: The signer could not sign.
    """
    signature = signer.sign(pae(PAYLOAD_TYPE, payload))
    return Bundle(Envelope(payload, PAYLOAD_TYPE, (signature,)), signer.hint)


def verify_envelope(
    bundle: Bundle, keys: Sequence[Verifier], *, path: str = "the bundle"
) -> VerifiedPayload:
    """Check the signature over the exact bytes received. Thread-safe.

    The key comes from ``keys`` alone; the bundle's hint only chooses among them. The signature
    must hold first, and only then is its type looked at, so that both a changed type and a
    signature made over something else end in a refusal.

    Args:
        bundle: What ``load_bundle`` gave.
        keys: The trusted keys; one of them must have signed.
        path: Where the bundle came from, for messages.

    Returns:
        The payload, now proven to be what a trusted key signed.

    Raises:
        UsageError: No trusted key was given.
        SignatureError: No trusted key made this signature, or it made it over something that is
            not a statement.
        FormatError: The envelope has not exactly one signature.
    """
    if not keys:
        raise UsageError("at least one trusted key is needed to check a signature")
    envelope = bundle.envelope
    if len(envelope.signatures) != 1:
        raise FormatError(
            f"{path}: {len(envelope.signatures)} signatures in one envelope; this version checks "
            "exactly one (co-signatures come in a later version)",
            path,
        )
    key = _find_signing_key(bundle, keys, path)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise SignatureError(
            f"{path}: the signature holds, but over {show(envelope.payload_type)}, "
            f"not over {PAYLOAD_TYPE!r}"
        )
    return VerifiedPayload(envelope.payload, envelope.payload_type, key)


def _find_signing_key(bundle: Bundle, keys: Sequence[Verifier], path: str) -> Verifier:
    """Return the trusted key that made the one signature, or raise SignatureError."""
    candidates = [key for key in keys if bundle.hint in (None, key.hint)]
    trusted = ", ".join(key.hint for key in keys)
    if not candidates:
        raise SignatureError(
            f"{path}: made by the key {show(bundle.hint or '')}, which is not trusted; "
            f"trusted: {trusted}"
        )
    envelope = bundle.envelope
    message = pae(envelope.payload_type, envelope.payload)
    for key in candidates:
        try:
            key.verify(message, envelope.signatures[0])
        except SignatureError:
            continue
        return key
    claim = "" if bundle.hint is None else f" (the bundle names the key {bundle.hint})"
    raise SignatureError(
        f"{path}: the signature does not hold for any trusted key{claim}; trusted: {trusted}"
    )


def _check_media_type(media_type: str, path: str) -> None:
    if media_type == MEDIA_TYPE:
        return
    if media_type.startswith(_OLD_MEDIA_TYPE):
        raise FormatError(
            f"{path}: an old form of the bundle, mediaType {show(media_type)}; this version reads "
            f"only {MEDIA_TYPE!r}",
            path,
        )
    raise FormatError(f"{path}: mediaType is {show(media_type)}, not {MEDIA_TYPE!r}", path)


def _load_material(value: JsonValue, path: str) -> str | None:
    """Read who signed, as the file claims; refuse every method but ``key``."""
    where = "verificationMaterial"
    for name, meaning in _OTHER_MATERIAL.items():
        if name in expect_object(value, where, path):
            raise FormatError(
                f"{path}: signed by {meaning}, which this version cannot check; "
                "it checks method 'key' only",
                path,
            )
    fields = expect_fields(
        value,
        where,
        path,
        required=("publicKey",),
        optional=("tlogEntries", "timestampVerificationData"),
    )
    if expect_array(fields.get("tlogEntries", []), "tlogEntries", path):
        raise FormatError(f"{path}: log entries beside a plain key cannot be checked", path)
    if expect_object(fields.get("timestampVerificationData", {}), "timestamps", path):
        raise FormatError(f"{path}: timestamps beside a plain key cannot be checked", path)
    return _load_hint(fields["publicKey"], path)


def _load_hint(value: JsonValue, path: str) -> str | None:
    if expect_object(value, "publicKey", path).keys() & {"rawBytes", "keyDetails"}:
        raise FormatError(
            f"{path}: an old form of the bundle, with the public key inside (publicKey.rawBytes, "
            "written by model-signing before 1.1), which is read only with --accept-historical; "
            "have it signed again",
            path,
        )
    fields = expect_fields(value, "publicKey", path, required=(), optional=("hint",))
    hint = fields.get("hint")
    # An empty string is how protobuf writes a field that is not set.
    return None if hint is None else expect_string(hint, "publicKey.hint", path) or None


def _load_envelope(value: JsonValue, path: str) -> Envelope:
    fields = expect_fields(
        value, "dsseEnvelope", path, required=("payload", "payloadType", "signatures")
    )
    payload = _decode_base64(fields["payload"], "the payload", path)
    payload_type = expect_string(fields["payloadType"], "payloadType", path)
    signatures = expect_array(fields["signatures"], "signatures", path)
    if not signatures:
        raise FormatError(f"{path}: the envelope has no signature", path)
    if len(signatures) > limits.MAX_SIGNATURES:
        raise LimitError(
            f"{path}: {len(signatures)} signatures, above the cap of {limits.MAX_SIGNATURES}", path
        )
    return Envelope(
        payload, payload_type, tuple(_load_signature(entry, path) for entry in signatures)
    )


def _load_signature(value: JsonValue, path: str) -> bytes:
    fields = expect_fields(value, "a signature", path, required=("sig",), optional=("keyid",))
    # The specification lets anything stand in keyid and gives it no part in verification.
    if fields.get("keyid") is not None:
        expect_string(fields["keyid"], "keyid", path)
    return _decode_base64(fields["sig"], "a signature", path)


def _encode_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode_base64(value: JsonValue, where: str, path: str) -> bytes:
    """Decode standard base64 in its one canonical spelling; empty is refused."""
    text = expect_string(value, where, path)
    try:
        data = binascii.a2b_base64(text)
    except ValueError as error:  # binascii.Error, and ValueError for text beyond ASCII
        raise FormatError(f"{path}: {where} is not base64: {error}", path) from error
    # The decoder skips what it does not know and ignores stray bits; its inverse does not.
    if not data or _encode_base64(data) != text:
        raise FormatError(f"{path}: {where} is not standard base64 with padding", path)
    return data
