# SPDX-License-Identifier: Apache-2.0
"""The tree file: bytes written out by hand, and every way not to fit a manifest."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyhash import limits
from pyhash.errors import FormatError, LimitError
from pyhash.tree_file import dump_tree, load_tree

_MIB = 1 << 20


def _nodes(*names: str) -> bytes:
    return b"".join(hashlib.sha256(name.encode()).digest() for name in names)


_SIZES = [0, 1, _MIB, _MIB + 1, 3 * _MIB]
_SHARDS = [b"", _nodes("a"), _nodes("b"), _nodes("c", "d"), _nodes("e", "f", "g")]
_HEADER = (
    b"pyhash-tree\x00"
    b"\x00\x00\x00\x01"
    b"\x00\x00\x00\x00\x00\x00\x00\x05"
    b"\x00\x00\x00\x00\x00\x00\x00\x07"
)
_FILE = _HEADER + _nodes("a", "b", "c", "d", "e", "f", "g")


def test_dump() -> None:
    assert dump_tree(_SHARDS) == _FILE


def test_load() -> None:
    shards = load_tree(_FILE, _SIZES, "model.tree")
    assert [bytes(nodes) for nodes in shards] == _SHARDS
    assert all(nodes.readonly for nodes in shards)


def test_no_nodes() -> None:
    assert load_tree(dump_tree([]), [], "model.tree") == ()
    empty = dump_tree([b"", b""])
    assert len(empty) == 32
    assert [bytes(nodes) for nodes in load_tree(empty, [0, 0], "model.tree")] == [b"", b""]


@pytest.mark.parametrize("length", [1, 31, 33])
def test_dump_wants_whole_nodes(length: int) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        dump_tree([_nodes("a"), bytes(length)])


@pytest.mark.parametrize(
    ("data", "sizes", "message", "offset"),
    [
        (b"", _SIZES, "not a tree file", 0),
        (b"pyhash-tree", _SIZES, "not a tree file", 0),
        (b"Pyhash" + _FILE[6:], _SIZES, "not a tree file", 0),
        (_HEADER[:12], _SIZES, "ends within its header", 12),
        (_HEADER[:31], _SIZES, "ends within its header", 31),
        (_FILE[:12] + b"\0\0\0\2" + _FILE[16:], _SIZES, "version 2; this version reads", 12),
        (_FILE[:12] + b"\1\0\0\0" + _FILE[16:], _SIZES, "version 16777216", 12),
        (_FILE[:23] + b"\4" + _FILE[24:], _SIZES, "for 4 shards; the manifest has 5", 16),
        (_FILE[:16] + b"\xff" * 8 + _FILE[24:], _SIZES, "for 18446744073709551615 shards", 16),
        (_FILE, _SIZES[:-1], "for 5 shards; the manifest has 4", 16),
        (_FILE, [*_SIZES[:-1], 3 * _MIB + 1], "of 7 span nodes; the manifest needs 8", 24),
        (_FILE, [*_SIZES[:-1], 0], "of 7 span nodes; the manifest needs 4", 24),
        (_FILE[:24] + b"\xff" * 8 + _FILE[32:], _SIZES, "span nodes; the manifest needs 7", 24),
        (_FILE[:-1], _SIZES, "255 bytes; its header calls for 256", 255),
        (_FILE[:32], _SIZES, "32 bytes; its header calls for 256", 32),
        (_FILE + b"\0", _SIZES, "257 bytes; its header calls for 256", 256),
        (_FILE + bytes(32), _SIZES, "288 bytes; its header calls for 256", 256),
    ],
)
def test_refused(data: bytes, sizes: list[int], message: str, offset: int) -> None:
    with pytest.raises(FormatError, match=f"^some/model.tree: .*{message}") as caught:
        load_tree(data, sizes, "some/model.tree")
    assert caught.value.path == "some/model.tree"
    assert caught.value.offset == offset


def test_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_TREE_FILE_BYTES", len(_FILE))
    assert load_tree(dump_tree(_SHARDS), _SIZES, "model.tree")
    monkeypatch.setattr(limits, "MAX_TREE_FILE_BYTES", len(_FILE) - 1)
    with pytest.raises(LimitError, match="256 bytes, above the cap of 255"):
        load_tree(_FILE, _SIZES, "model.tree")
    with pytest.raises(LimitError, match="would have 256 bytes"):
        dump_tree(_SHARDS)


def _tree(sizes: list[int]) -> list[bytes]:
    """Made-up nodes for shards of these sizes; a span is 1 MiB, the last may be shorter."""
    counts = [(size + _MIB - 1) // _MIB for size in sizes]
    return [_nodes(*(f"{shard}.{n}" for n in range(count))) for shard, count in enumerate(counts)]


@given(st.lists(st.integers(0, 20 * _MIB), max_size=8))
def test_load_gives_back_what_was_dumped(sizes: list[int]) -> None:
    shards = _tree(sizes)
    loaded = load_tree(dump_tree(shards), sizes, "model.tree")
    assert [bytes(nodes) for nodes in loaded] == shards


@given(st.binary(max_size=100), st.lists(st.integers(0, 3 * _MIB), max_size=3))
def test_any_bytes(tail: bytes, sizes: list[int]) -> None:
    for data in (tail, _HEADER[:12] + tail, _HEADER + tail):
        try:
            shards = load_tree(data, sizes, "model.tree")
        except FormatError:
            continue
        assert dump_tree([bytes(nodes) for nodes in shards]) == data
