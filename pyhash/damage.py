# SPDX-License-Identifier: Apache-2.0
"""Where in a shard the damage is: which spans differ from the signed ones, which tensors own them.

The tree file is not signed, so its nodes count only after they have been folded to the signed
shard root; a tensor is named only when the header that names it lies in spans that are whole.
Nothing here changes the answer, which is "no" already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyhash import files, formats
from pyhash.errors import CheckError, DamagedRange
from pyhash.merkle import DIGEST_BYTES, SPAN_BYTES, shard_root


def damaged_ranges(
    signed_root: bytes, signed_nodes: bytes | memoryview, nodes: bytes, size: int
) -> tuple[DamagedRange, ...]:
    """Compare the span nodes of a shard with those of the tree file.

    Args:
        signed_root: The signed root of the shard.
        signed_nodes: What the tree file has for it.
        nodes: What was computed from the file.
        size: Bytes of the shard.

    Returns:
        Runs of damaged spans, cut at the end of the shard; none when the tree file does not fit
        the signed root and so proves nothing.

    Raises:
        UsageError: The nodes are no whole number of digests.
    """
    if len(signed_nodes) != len(nodes) or shard_root(signed_nodes) != signed_root:
        return ()
    return differing_ranges(signed_nodes, nodes, 0, size)


def differing_ranges(
    signed_nodes: bytes | memoryview, nodes: bytes, start: int, end: int
) -> tuple[DamagedRange, ...]:
    """Compare the span nodes of one range of a shard with the signed ones.

    Args:
        signed_nodes: Nodes that have been folded to the signed root.
        nodes: As many that were computed.
        start: First byte of the range, a multiple of 1 MiB.
        end: One past its last byte.

    Returns:
        Runs of damaged spans, cut at ``end``. Raises nothing.
    """
    offsets = (start + index * SPAN_BYTES for index in _differing(signed_nodes, nodes))
    return join_ranges(DamagedRange(one, min(one + SPAN_BYTES, end)) for one in offsets)


def join_ranges(spans: Iterable[DamagedRange]) -> tuple[DamagedRange, ...]:
    """Join ranges that touch; they come by ascending start, and without names. Raises nothing."""
    ranges: list[DamagedRange] = []
    for span in spans:
        start = ranges.pop().start if ranges and ranges[-1].end == span.start else span.start
        ranges.append(DamagedRange(start, span.end))
    return tuple(ranges)


def _differing(signed: bytes | memoryview, computed: bytes) -> Sequence[int]:
    return [
        offset // DIGEST_BYTES
        for offset in range(0, len(computed), DIGEST_BYTES)
        if signed[offset : offset + DIGEST_BYTES] != computed[offset : offset + DIGEST_BYTES]
    ]


def name_tensors(
    ranges: tuple[DamagedRange, ...], path: str, descriptor: int, size: int
) -> tuple[DamagedRange, ...]:
    """Add to each range the tensors that own bytes of it.

    Args:
        ranges: What ``damaged_ranges`` returned.
        path: The shard, for the choice of its format.
        descriptor: The shard, open.
        size: Its bytes.

    Returns:
        The same ranges; without names where the header is damaged or cannot be read.
        Raises nothing.
    """
    return with_tensors(ranges, files.read_at(path, descriptor), size, path)


def with_tensors(
    ranges: tuple[DamagedRange, ...], read_at: formats.ReadAt, size: int, path: str
) -> tuple[DamagedRange, ...]:
    """``name_tensors`` for bytes from anywhere.

    Raises:
        What ``read_at`` raises, unless that is a CheckError.
    """
    if not ranges:
        return ranges
    try:
        layout = formats.layout_of(read_at, size, path)
    except CheckError:
        return ranges
    if ranges[0].start < layout.header_end:
        return ranges
    return tuple(
        DamagedRange(one.start, one.end, formats.tensors_in(layout, one.start, one.end))
        for one in ranges
    )
