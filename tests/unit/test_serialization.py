# SPDX-License-Identifier: Apache-2.0
"""``serialization`` of other tools at its edges: sizes of ranges, what ranges cover, spellings."""

from __future__ import annotations

import hashlib
from typing import Any

import blake3
import pytest

from pyhash import limits
from pyhash.errors import FormatError
from pyhash.manifest._model import ShardEntry, SignedRange
from pyhash.manifest._serialization import (
    DIGEST_BYTES,
    Serialization,
    load_digest,
    load_range,
    load_serialization,
    merge_ranges,
)

RANGES = {"method": "shards", "hash_type": "sha256", "allow_symlinks": False}
DIGEST = bytes(range(32))


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({}, 1_000_000_000),
        ({"shard_size": None}, 1_000_000_000),
        ({"shard_size": 1}, 1),
        ({"shard_size": 1000.0}, 1000),
        ({"shard_size": limits.MAX_SHARD_BYTES}, limits.MAX_SHARD_BYTES),
    ],
)
def test_sizes_of_ranges(given: dict[str, Any], size: int) -> None:
    how = load_serialization({**RANGES, **given, "ignore_paths": ["a"]}, True, "s")
    assert how == Serialization("sha256", size, False, ("a",))
    assert not how.is_ours
    assert how.algorithms() == ("sha256", f"sha256-sharded-{size}")


@pytest.mark.parametrize(
    "value",
    [
        {**RANGES, "shard_size": 0},
        {**RANGES, "shard_size": -1000},
        {**RANGES, "shard_size": limits.MAX_SHARD_BYTES + 1},
        {**RANGES, "shard_size": 0.5},
        {**RANGES, "shard_size": 999.5},
        {**RANGES, "shard_size": True},
        {**RANGES, "shard_size": [1000]},
        {**RANGES, "allow_symlinks": 0},
        {**RANGES, "ignore_paths": "a"},
        {**RANGES, "ignore_paths": [1]},
        {**RANGES, "color": "red"},
        {**RANGES, "method": "files", "shard_size": 1000},
        {"method": "shards", "hash_type": "sha256"},
        {"method": "files", "hash_type": "SHA256", "allow_symlinks": False},
    ],
)
def test_fields_that_make_no_sense(value: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="serialization"):
        load_serialization(value, True, "s")


def test_bytes_of_digests() -> None:
    made = {"sha256": hashlib.sha256(), "blake2b": hashlib.blake2b(), "blake3": blake3.blake3()}
    assert {name: one.digest_size for name, one in made.items()} == DIGEST_BYTES


def test_what_is_ours() -> None:
    assert load_serialization({**RANGES, "method": "files"}, True, "s").is_ours
    other = load_serialization({**RANGES, "method": "files", "hash_type": "blake3"}, True, "s")
    assert not other.is_ours
    assert other.algorithms() == ("blake3",)


def entry(start: int, end: int) -> ShardEntry:
    return ShardEntry("a", None, None, None, (SignedRange(start, end, "sha256", DIGEST),))


HOW = Serialization("sha256", 10)


@pytest.mark.parametrize(
    ("ranges", "size"), [([(0, 1)], 1), ([(0, 10)], 10), ([(10, 11), (0, 10)], 11)]
)
def test_ranges_that_cover(ranges: list[tuple[int, int]], size: int) -> None:
    (merged,) = merge_ranges([entry(*one) for one in ranges], HOW, "s")
    assert (merged.path, merged.size, len(merged.ranges)) == ("a", size, len(ranges))


@pytest.mark.parametrize(
    "ranges",
    [
        [(0, 0)],
        [(0, 11)],
        [(0, 10), (10, 10)],  # one without bytes behind the end
        [(0, 10), (10, 21)],
        [(0, 9), (10, 20)],
        [(0, 11), (10, 20)],
        [(1, 11)],
        [(10, 20)],
        [(0, 10), (11, 21)],
        [(0, 10), (0, 10)],
    ],
)
def test_ranges_that_do_not_cover(ranges: list[tuple[int, int]]) -> None:
    with pytest.raises(FormatError, match="not one after the other"):
        merge_ranges([entry(*one) for one in ranges], HOW, "s")


def test_names_of_ranges() -> None:
    made = load_range("a:0:1000:0:9", DIGEST, HOW, "s")
    assert made == ShardEntry("a:0:1000", None, None, None, (SignedRange(0, 9, "sha256", DIGEST),))
    whole = load_range("a:0:9", DIGEST, Serialization("blake3"), "s")
    assert (whole.path, whole.ranges) == ("a:0:9", (SignedRange(0, None, "blake3", DIGEST),))
    for name in (
        "a",
        "a:0",
        ":0:9",
        "a:0:0",
        "a:00:9",
        "a:0:9\n",
        "a:0:+9",
        "a:0:12345678901234567",
    ):
        with pytest.raises(FormatError, match="not named path:start:end"):
            load_range(name, DIGEST, HOW, "s")


@pytest.mark.parametrize(
    "text", ["", "0" * 62, "0" * 66, "0" * 128, "AB" * 32, "0x" * 32, " " * 64]
)
def test_other_spellings_of_a_digest(text: str) -> None:
    with pytest.raises(FormatError, match="not 64 lowercase hex digits"):
        load_digest(text, "digest", "s")
    assert load_digest(DIGEST.hex(), "digest", "s") == DIGEST
    assert load_digest("ab" * 64, "digest", "s", nbytes=64) == b"\xab" * 64
