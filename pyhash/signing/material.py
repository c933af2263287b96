# SPDX-License-Identifier: Apache-2.0
"""``verificationMaterial`` of a bundle: who signed, as the file claims. Read, written, not checked.

Exactly one of the three shapes that OMS v1.0 names: a key, a chain of certificates, or a Sigstore
certificate with its log entry.
"""

from __future__ import annotations

import json

from pyhash import limits
from pyhash.errors import FormatError, LimitError
from pyhash.signing._base import CERTIFICATE, KEY, SIGSTORE, Material
from pyhash.signing.base64_text import decode_base64, encode_base64
from pyhash.strict_json import (
    JsonValue,
    expect_array,
    expect_fields,
    expect_object,
    expect_string,
)

_WHERE = "verificationMaterial"
_KIND_BY_FIELD = {"publicKey": KEY, "x509CertificateChain": CERTIFICATE, "certificate": SIGSTORE}


def load_material(value: JsonValue, path: str) -> Material:
    """Read the field of a bundle. Pure, thread-safe.

    Args:
        value: What was parsed.
        path: The bundle, for messages.

    Raises:
        LimitError: More certificates or log entries than any signer writes.
        FormatError: None of the shapes, or two at once.
    """
    found = expect_object(value, _WHERE, path)
    kinds = [field for field in _KIND_BY_FIELD if field in found]
    if len(kinds) > 1:
        raise FormatError(f"{path}: {_WHERE} names several signers: {', '.join(kinds)}", path)
    if not kinds:
        # The one that is asked for; what a foreign field is called says nothing to most people.
        expect_fields(value, _WHERE, path, required=("publicKey",), optional=tuple(found))
    field = kinds[0]
    fields = expect_fields(
        value,
        _WHERE,
        path,
        required=(field,),
        optional=("tlogEntries", "timestampVerificationData"),
    )
    if _KIND_BY_FIELD[field] == SIGSTORE:
        return _load_sigstore(fields, path)
    what = "a plain key" if field == "publicKey" else "a certificate"
    if expect_array(fields.get("tlogEntries", []), "tlogEntries", path):
        raise FormatError(f"{path}: log entries beside {what} cannot be checked", path)
    if expect_object(fields.get("timestampVerificationData", {}), "timestamps", path):
        raise FormatError(f"{path}: timestamps beside {what} cannot be checked", path)
    if field == "publicKey":
        return Material(KEY, hint=_load_hint(fields[field], path))
    return Material(CERTIFICATE, certificates=_load_chain(fields[field], path))


def dump_material(material: Material) -> dict[str, JsonValue]:
    """Return the field of a bundle, ready for JSON. Raises nothing."""
    if material.kind == SIGSTORE:
        document: dict[str, JsonValue] = json.loads(material.document)
        return document
    if material.kind == CERTIFICATE:
        chain: list[JsonValue] = [{"rawBytes": encode_base64(one)} for one in material.certificates]
        return {"x509CertificateChain": {"certificates": chain}, "tlogEntries": []}
    key: dict[str, JsonValue] = {} if material.hint is None else {"hint": material.hint}
    return {"publicKey": key, "tlogEntries": []}


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


def _load_chain(value: JsonValue, path: str) -> tuple[bytes, ...]:
    where = "x509CertificateChain"
    fields = expect_fields(value, where, path, required=("certificates",))
    found = expect_array(fields["certificates"], where, path)
    if not found:
        raise FormatError(f"{path}: {where} holds no certificate", path)
    _check_count(len(found), "certificates", path)
    return tuple(_load_certificate(one, path) for one in found)


def _load_certificate(value: JsonValue, path: str) -> bytes:
    fields = expect_fields(value, "a certificate", path, required=("rawBytes",))
    return decode_base64(fields["rawBytes"], "a certificate", path)


def _load_sigstore(fields: dict[str, JsonValue], path: str) -> Material:
    """Check the outline; what is inside is for the sigstore library, from these very values."""
    _load_certificate(fields["certificate"], path)
    entries = expect_array(fields.get("tlogEntries", []), "tlogEntries", path)
    if not entries:
        raise FormatError(f"{path}: a keyless signature without a log entry", path)
    _check_count(len(entries), "log entries", path)
    expect_object(fields.get("timestampVerificationData", {}), "timestamps", path)
    return Material(SIGSTORE, document=json.dumps(fields, ensure_ascii=False))


def _check_count(count: int, what: str, path: str) -> None:
    if count > limits.MAX_CERTIFICATES:
        raise LimitError(
            f"{path}: {count} {what}, above the cap of {limits.MAX_CERTIFICATES}", path
        )
