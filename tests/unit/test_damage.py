# SPDX-License-Identifier: Apache-2.0
"""Where damage is: runs of spans, cut at the end of the file, with the tensors that own them."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyhash.damage import damaged_ranges, name_tensors
from pyhash.errors import DamagedRange
from tests import reference

SPAN = 1 << 20


def node(number: int) -> bytes:
    return number.to_bytes(32, "big")


def nodes(numbers: list[int]) -> bytes:
    return b"".join(map(node, numbers))


def root_of(numbers: list[int]) -> bytes:
    return reference.shard_root_of_nodes([node(one) for one in numbers])


def ranges(signed: list[int], found: list[int], size: int) -> list[tuple[int, int]]:
    damaged = damaged_ranges(root_of(signed), nodes(signed), nodes(found), size)
    assert all(one.tensors == () for one in damaged)
    return [(one.start, one.end) for one in damaged]


def test_one_span() -> None:
    assert ranges([1], [2], 5) == [(0, 5)]
    assert ranges([1], [2], SPAN) == [(0, SPAN)]
    assert ranges([1, 2, 3], [1, 9, 3], 3 * SPAN) == [(SPAN, 2 * SPAN)]


def test_last_span_ends_with_the_file() -> None:
    assert ranges([1, 2], [1, 9], SPAN + 7) == [(SPAN, SPAN + 7)]
    assert ranges([1, 2], [9, 2], SPAN + 7) == [(0, SPAN)]


def test_neighbours_are_one_range() -> None:
    assert ranges([1, 2, 3, 4, 5], [1, 9, 9, 4, 9], 4 * SPAN + 1) == [
        (SPAN, 3 * SPAN),
        (4 * SPAN, 4 * SPAN + 1),
    ]
    assert ranges([1, 2, 3], [9, 9, 9], 3 * SPAN) == [(0, 3 * SPAN)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, SPAN))
def test_every_byte_of_a_damaged_span_and_no_other(damaged: list[bool], last: int) -> None:
    size = (len(damaged) - 1) * SPAN + last
    signed = list(range(len(damaged)))
    found = ranges(signed, [1000 if bad else i for i, bad in enumerate(damaged)], size)
    hit = [any(start <= i * SPAN < end for start, end in found) for i in range(len(damaged))]
    assert hit == damaged
    assert all(end <= size for _, end in found)
    assert found == sorted(found)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(found))


def test_views_will_do() -> None:
    view = memoryview(nodes([1, 2]))
    assert damaged_ranges(root_of([1, 2]), view, nodes([1, 3]), 2 * SPAN) == (
        DamagedRange(SPAN, 2 * SPAN),
    )


@pytest.mark.parametrize("claimed", [[1, 9], [9, 2], [2, 1], [1], [1, 2, 3], []])
def test_nodes_that_were_not_signed_prove_nothing(claimed: list[int]) -> None:
    assert damaged_ranges(root_of([1, 2]), nodes(claimed), nodes([1, 3]), 2 * SPAN) == ()


def test_nothing_damaged() -> None:
    assert ranges([1, 2], [1, 2], 2 * SPAN) == []


# --- tensors --------------------------------------------------------------------------------------


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Header, padded so that it ends at 4096; "a" to the end of the first span, "b", "c"."""
    sizes = {"a": SPAN - 4096, "b": SPAN, "c": SPAN // 2}
    entries, start = {}, 0
    for name, size in sizes.items():
        entries[name] = {"dtype": "U8", "shape": [size], "data_offsets": [start, start + size]}
        start += size
    header = json.dumps(entries).encode().ljust(4096 - 8)
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(4096 + start)
    return path


def named(path: Path, *damaged: tuple[int, int], name: str = "model.safetensors") -> list[object]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        given_ranges = tuple(DamagedRange(*one) for one in damaged)
        found = name_tensors(given_ranges, name, descriptor, path.stat().st_size)
    finally:
        os.close(descriptor)
    assert [(one.start, one.end) for one in found] == list(damaged)
    return [one.tensors for one in found]


def test_tensors_of_a_range(shard: Path) -> None:
    assert named(shard, (SPAN, 2 * SPAN)) == [("b",)]
    assert named(shard, (SPAN, 2 * SPAN + SPAN // 2)) == [("b", "c")]
    assert named(shard, (SPAN, 2 * SPAN), (2 * SPAN, 2 * SPAN + SPAN // 2)) == [("b",), ("c",)]


def test_no_names_from_a_damaged_header(shard: Path) -> None:
    assert named(shard, (0, SPAN)) == [()]
    assert named(shard, (0, SPAN), (2 * SPAN, 2 * SPAN + 5)) == [(), ()]


def test_no_names_from_a_header_that_cannot_be_read(shard: Path) -> None:
    with shard.open("r+b") as file:
        file.write(b"\xff" * 8)
    assert named(shard, (SPAN, 2 * SPAN)) == [()]


def test_no_names_from_a_file_that_is_shorter(shard: Path) -> None:
    descriptor = os.open(shard, os.O_RDONLY)
    os.truncate(shard, 10)
    damaged = (DamagedRange(SPAN, 2 * SPAN),)
    assert name_tensors(damaged, "model.safetensors", descriptor, 3 * SPAN) == damaged
    os.close(descriptor)


def test_no_names_from_a_format_without_tensors(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(100))
    assert named(tmp_path / "a.bin", (0, 100), name="a.bin") == [()]


def test_nothing_to_name_reads_nothing() -> None:
    assert name_tensors((), "a", -1, 5) == ()
