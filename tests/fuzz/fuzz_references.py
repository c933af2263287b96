# SPDX-License-Identifier: Apache-2.0
"""Fuzz target: key references and PKCS #11 URIs. What is read survives being written again."""

from __future__ import annotations

from contextlib import suppress

from _harness import main

from pyhash.errors import UsageError
from pyhash.signing.pkcs11_uri import parse_uri
from pyhash.signing.references import format_reference, parse_parameters

DICTIONARY = (
    b"root=", b"identity=", b"%3B", b"%25", b";", b"=", b"?module-path=", b"&pin-source=", b"%zz",
    b"pin-value=", b"object=", b"token=", b"id=%01",
)  # fmt: skip

_NAMES = ("root", "identity")


def seeds() -> list[bytes]:
    """References as documented."""
    return [
        b"root=ca.pem;identity=release@example.org",
        b"root=a%3Bb;identity=100%25",
        b"token=a;object=b;id=%01%ff?module-path=/lib/p.so&pin-source=file:/run/pin",
    ]


def one_input(data: bytes) -> None:
    """Parse in both ways."""
    text = data.decode("utf-8", "surrogateescape")
    with suppress(UsageError):
        parse_uri(text)
    try:
        found = parse_parameters(text, _NAMES, scheme="x")
    except UsageError:
        return
    again = parse_parameters(format_reference("x", found)[2:], _NAMES, scheme="x")
    if again != found:
        raise AssertionError(f"{again!r} after writing and reading {found!r}")


if __name__ == "__main__":
    main(one_input, seeds())
