# SPDX-License-Identifier: Apache-2.0
"""``pkcs11:`` URIs (RFC 7512), as far as they name a private key and the token that holds it.

What is not understood is refused, never passed over: an attribute that narrows the choice must
narrow it. A PIN in the URI is refused, because command lines are seen by everybody on a machine.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyhash.errors import UsageError
from pyhash.signing.references import unescape
from pyhash.strict_json import show

_PATH_ATTRIBUTES = ("token", "serial", "manufacturer", "model", "object", "id", "type")
_QUERY_ATTRIBUTES = ("module-path", "pin-source")


@dataclass(frozen=True, slots=True)
class KeyUri:
    """One private key in a token. None: the URI does not say, and any will do if there is one.

    Attributes:
        module: Path of the shared library that speaks to the token.
        token: Label of the token.
        serial: Serial number of the token.
        manufacturer: Of the token.
        model: Of the token.
        label: ``object``: label of the key.
        key_id: ``id``: identifier of the key, raw bytes.
        pin_file: ``pin-source``: file that holds the PIN.
    """

    module: str
    token: str | None = None
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    label: str | None = None
    key_id: bytes | None = None
    pin_file: str | None = None


def parse_uri(rest: str) -> KeyUri:
    """Read what stands behind ``pkcs11:``. Pure, thread-safe.

    Args:
        rest: Attributes between semicolons, then ``?`` and query attributes between ``&``.

    Raises:
        UsageError: An attribute that is unknown, there twice or empty, no ``module-path``, a PIN
            in the URI, or neither a label nor an identifier of the key.
    """
    path, _, query = rest.partition("?")
    names = _split(path, ";", _PATH_ATTRIBUTES)
    options = _split(query, "&", _QUERY_ATTRIBUTES)
    if "module-path" not in options:
        raise UsageError("pkcs11: the URI names no module-path=LIBRARY.so of the token")
    if names.get("type", b"private") != b"private":
        raise UsageError("pkcs11: only type=private signs")
    if not names.keys() & {"object", "id"}:
        raise UsageError("pkcs11: the URI names no key: give object=LABEL or id=%XX")
    source = _text(options, "pin-source")
    return KeyUri(
        module=_text(options, "module-path") or "",
        token=_text(names, "token"),
        serial=_text(names, "serial"),
        manufacturer=_text(names, "manufacturer"),
        model=_text(names, "model"),
        label=_text(names, "object"),
        key_id=names.get("id"),
        pin_file=None if source is None else _pin_file(source),
    )


def _split(text: str, separator: str, known: tuple[str, ...]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for pair in filter(None, text.split(separator)):
        name, _, value = pair.partition("=")
        if name == "pin-value":
            raise UsageError(
                "pkcs11: a PIN does not belong into the URI, where everybody on this machine can"
                " read it; give pin-source=FILE, --passphrase-fd or --passphrase-env"
            )
        if name not in known:
            raise UsageError(f"pkcs11: the attribute {show(name)} is not understood here")
        if name in found or not value:
            raise UsageError(f"pkcs11: the attribute {name} is there twice or empty")
        found[name] = unescape(value, "pkcs11")
    return found


def _text(found: dict[str, bytes], name: str) -> str | None:
    if name not in found:
        return None
    try:
        text = found[name].decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"pkcs11: the attribute {name} is not UTF-8") from None
    if "\0" in text:
        raise UsageError(f"pkcs11: the attribute {name} holds a NUL")
    return text


def _pin_file(source: str) -> str:
    """The path in a pin-source: a plain path, or a file: URI of this machine."""
    if source.startswith("|"):
        raise UsageError("pkcs11: a pin-source that is a command is not run")
    if source.startswith("file:"):
        path = source.removeprefix("file:")
        if path.startswith("//"):
            path = path.removeprefix("//").removeprefix("localhost")
            if not path.startswith("/"):
                raise UsageError(f"pkcs11: {show(source)} is not a file of this machine")
        return path
    return source
