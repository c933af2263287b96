# SPDX-License-Identifier: Apache-2.0
"""Any change of any byte of any file: refused, unless the bytes mean the very same.

Only the bundle has room for the latter (white space, the field ``keyid``, the second of the two
signatures that ECDSA has), and then the payload must be the one that was signed. The tree file is
not signed at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pyhash
from pyhash import signing
from pyhash.errors import CheckError, VerificationError
from pyhash.signing.ecdsa import generate_key, write_key_pair

SHARD = "model.safetensors"
FILES = ("config.json", "onnx/notes.txt", SHARD, "model.sig", "model.tree")
POSITIONS = 1 << 20


class Small:
    """A checkpoint of a few hundred bytes, which can be put back as it was."""

    def __init__(self, home: Path) -> None:
        write_key_pair(generate_key(), home / "key", home / "key.pub")
        self.policy = pyhash.Policy.from_key_files([home / "key.pub"])
        self.model = home / "model"
        (self.model / "onnx").mkdir(parents=True)
        (self.model / "config.json").write_text('{"model_type": "llama", "hidden_size": 8}')
        (self.model / "onnx/notes.txt").write_text("notes")
        header = json.dumps({"w": {"dtype": "U8", "shape": [64], "data_offsets": [0, 64]}})
        head = len(header).to_bytes(8, "little") + header.encode()
        (self.model / SHARD).write_bytes(head + bytes(range(64)))
        pyhash.sign(self.model, home / "key")
        self.before = {name: (self.model / name).read_bytes() for name in FILES}
        self.payload = self._payload()
        self.manifest = self.verify().manifest

    def verify(self) -> pyhash.Verified:
        return pyhash.verify(self.model, policy=self.policy)

    def _payload(self) -> bytes:
        data = (self.model / "model.sig").read_bytes()
        return signing.load_bundle(data, "model.sig").envelope.payload

    def check(self, name: str, data: bytes) -> bool:
        """Write a file, look what is answered, and put it back.

        Returns:
            Whether it verified: only for what is no change, or an equivalent one.
        """
        path = self.model / name
        path.write_bytes(data)
        try:
            verified = self.verify()
        except (VerificationError, CheckError):
            assert data != self.before[name]
            assert name != "model.tree"
            return False
        finally:
            payload = self._payload() if name == "model.sig" and _is_json(data) else b""
            path.write_bytes(self.before[name])
        assert verified.manifest == self.manifest
        if name == "model.sig":
            assert payload == self.payload
        elif name != "model.tree":
            assert data == self.before[name]
        return True


def _is_json(data: bytes) -> bool:
    try:
        signing.load_bundle(data, "model.sig")
    except CheckError:
        return False
    return True


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    made = Small(tmp_path_factory.mktemp("small"))
    yield made
    assert made.verify().manifest == made.manifest


@settings(max_examples=300, deadline=None, database=None)
@given(
    name=st.sampled_from(FILES),
    position=st.integers(0, POSITIONS - 1),
    mask=st.integers(1, 255),
)
@example(name="model.sig", position=0, mask=1)
@example(name="model.sig", position=POSITIONS - 1, mask=1)
@example(name=SHARD, position=0, mask=128)
@example(name=SHARD, position=POSITIONS - 1, mask=1)
def test_changed_byte(name: str, position: int, mask: int, small: Small) -> None:
    data = bytearray(small.before[name])
    data[position * len(data) // POSITIONS] ^= mask
    verified = small.check(name, bytes(data))
    assert verified is (name == "model.tree") or name == "model.sig"


@settings(max_examples=200, deadline=None, database=None)
@given(
    name=st.sampled_from(FILES),
    start=st.integers(0, POSITIONS - 1),
    removed=st.integers(0, 40),
    added=st.binary(max_size=8) | st.sampled_from([b" ", b"\n", b"\0", b'"', b"{}", b"\\u0061"]),
)
@example(name="model.sig", start=0, removed=0, added=b" ")
@example(name="config.json", start=POSITIONS - 1, removed=0, added=b" ")
def test_other_bytes(name: str, start: int, removed: int, added: bytes, small: Small) -> None:
    before = small.before[name]
    at = start * (len(before) + 1) // POSITIONS
    data = before[:at] + added + before[at + removed :]
    verified = small.check(name, data)
    assert verified is (data == before) or name in ("model.sig", "model.tree")


@settings(max_examples=100, deadline=None, database=None)
@given(name=st.sampled_from(FILES), end=st.integers(0, POSITIONS - 1))
def test_cut_anywhere(name: str, end: int, small: Small) -> None:
    data = small.before[name][: end * len(small.before[name]) // POSITIONS]
    assert small.check(name, data) is (name == "model.tree")


def test_every_byte_of_the_bundle(small: Small) -> None:
    """In turns the lowest bit, and the one between capital and small letters (as in base64).

    Of the payload, whose bytes are all alike, a part.
    """
    before = small.before["model.sig"]
    payload = before.index(b'"payload":"') + 20
    harmless = set()
    for position in (*range(payload), *range(payload, len(before) - 500, 17),
                     *range(len(before) - 500, len(before))):  # fmt: skip
        data = bytearray(before)
        data[position] ^= (0x01, 0x20)[position % 2]
        if small.check("model.sig", bytes(data)):
            harmless.add(position)
    # No byte of the payload, of its type or of the signature is among them.
    for field in (b'"payload":"', b'"payloadType":"', b'"sig":"'):
        start = before.index(field)
        end = before.index(b'"', start + len(field))
        assert harmless.isdisjoint(range(start, end + 1))


def test_white_space_is_harmless(small: Small) -> None:
    """The equivalent change exists, so that the tests above have seen both answers."""
    fields = json.loads(small.before["model.sig"])
    assert small.check("model.sig", json.dumps(fields, indent=2).encode())
