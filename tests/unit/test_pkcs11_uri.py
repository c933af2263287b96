# SPDX-License-Identifier: Apache-2.0
"""``pkcs11:`` URIs: what they come to, and those that make no sense. No token is needed."""

from __future__ import annotations

import pytest

from pyhash import signing
from pyhash.errors import UsageError
from pyhash.signing.pkcs11_uri import parse_uri


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("object=a", "no module-path"),
        ("object=a?module-path=m&pin-value=1234", "a PIN does not belong into the URI"),
        ("token=a?module-path=m", "names no key"),
        ("object=a;object=b?module-path=m", "there twice"),
        ("object=?module-path=m", "twice or empty"),
        ("object=a;slot-id=3?module-path=m", "'slot-id' is not understood"),
        ("object=a;type=public?module-path=m", "only type=private"),
        ("object=%zz?module-path=m", "begins no escape"),
        ("object=%ff?module-path=m", "not UTF-8"),
        ("object=%00?module-path=m", "NUL"),
        ("object=a;pin-value=1234?module-path=m", "a PIN does not belong into the URI"),
        ("object=a;type=?module-path=m", "twice or empty"),
        ("object=a?module-path=m&module-path=n", "there twice"),
        ("object=a?module-path=m&pin-source=%7Ccat", "command is not run"),
        ("object=a?module-path=m&pin-source=file://host/pin", "not a file of this machine"),
        ("object=a?module-name=m", "'module-name' is not understood"),
    ],
)
def test_uris_that_make_no_sense(rest: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_uri(rest)
    assert "1234" not in str(caught.value)


def test_uri() -> None:
    uri = parse_uri(
        "token=a%3Bb;serial=1;manufacturer=m;model=x;object=o;id=%01%ff;type=private"
        "?module-path=/lib/p.so&pin-source=file:///run/pin"
    )
    assert uri.token == "a;b"
    assert (uri.serial, uri.manufacturer, uri.model, uri.label) == ("1", "m", "x", "o")
    assert (uri.key_id, uri.module, uri.pin_file) == (b"\x01\xff", "/lib/p.so", "/run/pin")


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("/run/pin", "/run/pin"),
        ("file:/run/pin", "/run/pin"),
        ("file://localhost/run/pin", "/run/pin"),
        ("here/file:", "here/file:"),
    ],
)
def test_files_of_a_pin(source: str, path: str) -> None:
    reference = f"object=o?module-path=m&pin-source={source}"
    assert parse_uri(reference).pin_file == path
    assert signing.key_files(f"pkcs11:{reference}") == (path,)
    assert parse_uri("object=o?module-path=m").pin_file is None
    assert parse_uri("id=%01?module-path=m").key_id == b"\x01"
    assert signing.key_files("pkcs11:object=o?module-path=m") == ()
