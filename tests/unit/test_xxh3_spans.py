# SPDX-License-Identifier: Apache-2.0
"""XXH3-128 of spans by the engine: against the xxhash package, and pieces that make no sense."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import xxhash

from pyhash import errors
from pyhash._native import READERS, Range
from pyhash._native._pieces import xxh3_spans
from pyhash.hashing import Options
from pyhash.merkle import SPAN_BYTES
from pyhash.scrub.span_digests import Piece, both, sha256_nodes, xxh3_128
from tests import reference

SPANS, TAIL = 6, 12_345
DATA = random.Random(5).randbytes(SPANS * SPAN_BYTES + TAIL)
EXPECTED = [
    xxhash.xxh3_128_digest(DATA[at : at + SPAN_BYTES]) for at in range(0, len(DATA), SPAN_BYTES)
]


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "f").write_bytes(DATA)
    opened = os.open(tmp_path / "f", os.O_RDONLY)
    yield opened
    os.close(opened)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("first", "last"), [(0, SPANS), (2, 3), (5, SPANS), (4, 4)])
def test_spans_of_a_file(descriptor: int, reader: str, first: int, last: int) -> None:
    piece = Range("f", descriptor, first * SPAN_BYTES, last * SPAN_BYTES)
    assert xxh3_spans(piece, reader=reader, others=1) == b"".join(EXPECTED[first:last])


@pytest.mark.parametrize("start", range(0, len(DATA), SPAN_BYTES))
def test_what_a_scrub_computes(descriptor: int, start: int) -> None:
    """Whole spans, and the rest at the end, which is no whole one."""
    piece = Piece("f", descriptor, start, len(DATA), 1, Options())
    nodes = reference.span_nodes(DATA[start:])
    expected = EXPECTED[start // SPAN_BYTES :]
    assert xxh3_128(piece) == expected
    assert sha256_nodes(piece) == nodes
    assert both(piece) == [node + digest for node, digest in zip(nodes, expected, strict=True)]


def test_pieces_that_make_no_sense(descriptor: int) -> None:
    for start, end in ((4096, SPAN_BYTES), (0, -SPAN_BYTES), (SPAN_BYTES, 0), (0, 1 << 63)):
        with pytest.raises(errors.UsageError, match="no piece"):
            xxh3_spans(Range("f", descriptor, start, end))
    with pytest.raises(errors.UsageError, match="not the end of a whole span"):
        xxh3_spans(Range("f", descriptor, 0, 5))
    with pytest.raises(errors.UsageError, match="no reader 'telepathy'"):
        xxh3_spans(Range("f", descriptor, 0, SPAN_BYTES), reader="telepathy")
    with pytest.raises(errors.TruncatedError, match="f: the file ended early"):
        xxh3_spans(Range("f", descriptor, 0, (SPANS + 1) * SPAN_BYTES))
