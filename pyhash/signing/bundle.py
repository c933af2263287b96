# SPDX-License-Identifier: Apache-2.0
"""The signature file: Sigstore bundle v0.3 JSON around a DSSE envelope, as OMS v1.0 wants it.

Reads and writes the file. It checks no signature (``envelope.py`` does) and never looks into the
payload: what it says is for ``manifest``, and only after ``verify_envelope``.
"""

from __future__ import annotations

import json

from pyhash import limits
from pyhash.errors import FormatError, LimitError
from pyhash.frozen import frozen
from pyhash.signing._base import Material
from pyhash.signing.base64_text import decode_base64, encode_base64
from pyhash.signing.dsse import Envelope
from pyhash.signing.material import dump_material, load_material
from pyhash.strict_json import (
    JsonValue,
    expect_array,
    expect_fields,
    expect_string,
    load_json,
    show,
)

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"

# Spellings that tools wrote before MEDIA_TYPE was settled; the reference tool refuses them too.
_OLD_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle+json;version="


@frozen
class Bundle:
    """A signature file that has been read and not yet checked.

    Attributes:
        envelope: The payload and its signatures.
        material: Who signed, as the file claims.
    """

    envelope: Envelope
    material: Material

    @property
    def hint(self) -> str | None:
        """Which key signed, as the file claims; None when it does not say. Raises nothing."""
        return self.material.hint


def load_bundle(data: bytes, path: str) -> Bundle:
    """Read a signature file strictly. Pure, thread-safe.

    Args:
        data: The whole file.
        path: Where it came from, for messages.

    Returns:
        What the file says; nothing of it is verified.

    Raises:
        LimitError: The file, or the number of signatures, is above its cap.
        FormatError: Not such a file, an old form of it, or none of the three ways to say who
            signed.
    """
    parsed = load_json(data, path=path, max_bytes=limits.MAX_BUNDLE_BYTES)
    fields = expect_fields(
        parsed,
        "the bundle",
        path,
        required=("mediaType", "verificationMaterial", "dsseEnvelope"),
    )
    _check_media_type(expect_string(fields["mediaType"], "mediaType", path), path)
    material = load_material(fields["verificationMaterial"], path)
    return Bundle(_load_envelope(fields["dsseEnvelope"], path), material)


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
            "verificationMaterial": dump_material(bundle.material),
            "dsseEnvelope": {
                "payload": encode_base64(envelope.payload),
                "payloadType": envelope.payload_type,
                "signatures": [
                    {"sig": encode_base64(signature), "keyid": ""}
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


def _load_envelope(value: JsonValue, path: str) -> Envelope:
    fields = expect_fields(
        value, "dsseEnvelope", path, required=("payload", "payloadType", "signatures")
    )
    payload = decode_base64(fields["payload"], "the payload", path)
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
    return decode_base64(fields["sig"], "a signature", path)
