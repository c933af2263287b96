# SPDX-License-Identifier: Apache-2.0
"""The pre-authentication encoding against the DSSE text, the OMS vector and an own reader.

Signatures over it are tested in test_ecdsa.py and test_bundle.py.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyhash.signing.dsse import PAYLOAD_TYPE, Envelope, pae
from pyhash.signing.envelope import VerifiedPayload

_OMS = Path(__file__).resolve().parents[1] / "vectors" / "oms"


@pytest.mark.parametrize(
    ("payload_type", "payload", "expected"),
    [
        # DSSE protocol, "Test Vectors".
        (
            "http://example.com/HelloWorld",
            b"hello world",
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world",
        ),
        (PAYLOAD_TYPE, b"", b"DSSEv1 28 application/vnd.in-toto+json 0 "),
        ("", b"", b"DSSEv1 0  0 "),
        # Lengths count bytes of UTF-8: U+00E9 has two, U+6A21 three, U+1F600 four.
        (
            "caf\u00e9/\u6a21\U0001f600",
            b"\xff\x00 7 ",
            b"DSSEv1 13 caf\xc3\xa9/\xe6\xa8\xa1\xf0\x9f\x98\x80 5 \xff\x00 7 ",
        ),
        (" 1 ", b"x" * 10, b"DSSEv1 3  1  10 xxxxxxxxxx"),
    ],
)
def test_encoding(payload_type: str, payload: bytes, expected: bytes) -> None:
    assert pae(payload_type, payload) == expected


def test_oms_vector() -> None:
    payload = (_OMS / "tiny-model.statement.json").read_bytes()
    assert len(payload) == 754
    assert (
        hashlib.sha256(payload).hexdigest()
        == "ab754d7921f5c658b093f6ed091981d1b8f55381c73ba0b886d4c1dca33f8f50"
    )
    encoded = pae(PAYLOAD_TYPE, payload)
    assert encoded == b"DSSEv1 28 application/vnd.in-toto+json 754 " + payload
    assert (
        hashlib.sha256(encoded).hexdigest()
        == "3140d7c223303e6dfccce688863142df4703b21fe24555244c9619835431927d"
    )


def _read_back(encoded: bytes) -> tuple[bytes, bytes]:
    """Read an encoding by its lengths, as the DSSE text has it."""
    version, size, rest = encoded.split(b" ", 2)
    assert version == b"DSSEv1"
    kind, rest = rest[: int(size)], rest[int(size) :]
    assert rest[:1] == b" "
    size, rest = rest[1:].split(b" ", 1)
    assert int(size) == len(rest)
    return kind, rest


@given(st.text(st.characters(exclude_categories=("Cs",))), st.binary())
def test_encoding_says_where_everything_ends(payload_type: str, payload: bytes) -> None:
    assert _read_back(pae(payload_type, payload)) == (payload_type.encode("utf-8"), payload)


def test_a_byte_moved_between_type_and_payload_changes_the_message() -> None:
    assert pae("a", b"b c") != pae("a b", b"c")
    assert pae("a 1 b", b"") != pae("a", b"b")


@pytest.mark.parametrize("kind", [Envelope, VerifiedPayload])
def test_data_is_frozen(kind: type) -> None:
    assert kind.__dataclass_params__.frozen
    assert "__slots__" in vars(kind)


def test_unverified_and_verified_payloads_are_different_types() -> None:
    assert not issubclass(VerifiedPayload, Envelope)
    assert {field.name for field in dataclasses.fields(VerifiedPayload)} == {
        "payload",
        "payload_type",
        "key",
        "signer",
    }
