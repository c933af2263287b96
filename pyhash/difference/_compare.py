# SPDX-License-Identifier: Apache-2.0
"""Compare two sides from the root down: where roots are equal, nothing below is looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from pyhash import formats, hashing
from pyhash.damage import join_ranges
from pyhash.difference._model import Difference, FileDifference, TensorDifference
from pyhash.difference._side import Request, Side, open_side
from pyhash.errors import DamagedRange
from pyhash.formats import Layout
from pyhash.manifest import ShardEntry
from pyhash.merkle import DIGEST_BYTES, SPAN_BYTES
from pyhash.signing import load_verifier


def compare(
    before: str | os.PathLike[str],
    after: str | os.PathLike[str],
    *,
    keys: Sequence[str | os.PathLike[str]] = (),
    rehash: bool = False,
    options: hashing.Options | None = None,
) -> Difference:
    """Say what differs between two sides; may be called from several threads.

    Args:
        before: A checkpoint, a bundle, or the tree file beside a bundle.
        after: Likewise.
        keys: Public keys, PEM files, one of which must have signed each side; none: signatures
            are not checked, and the result says so.
        rehash: Hash the files of checkpoints even where a bundle says what they should be.
        options: How to hash, where there is no bundle or no tree file.

    Returns:
        What differs. A checkpoint with a bundle is compared by what is signed; whether its files
        hold that is for ``verify`` to find out.

    Raises:
        SignatureError, UnsignedError: Keys were given, and none of them signed a side.
        UsageError: A tree file without its bundle.
        CheckError: A side cannot be read.
    """
    verifiers = tuple(load_verifier(key) for key in keys)
    request = Request(verifiers, rehash, options or hashing.Options())
    one, other = open_side(before, request), open_side(after, request)
    found: list[FileDifference] = []
    size = 0
    paths = sorted(one.shards.keys() | other.shards.keys(), key=lambda path: path.encode("utf-8"))
    for path in paths:
        entries = [side.shards[path][1] if path in side.shards else None for side in (one, other)]
        size += max((entry.size or 0) for entry in entries if entry is not None)
        found += _compare_file(path, (one, other), entries[0], entries[1])
    return Difference(
        one.summary,
        other.summary,
        tuple(found),
        len(paths) - len(found),
        size,
        one.hashed + other.hashed,
        (*one.notes, *other.notes),
    )


def _compare_file(
    path: str, sides: tuple[Side, Side], before: ShardEntry | None, after: ShardEntry | None
) -> Iterator[FileDifference]:
    if before is None or after is None:
        entry = before or after
        size = entry.size if entry else None
        kind = "added" if before is None else "removed"
        old, new = (None, size) if before is None else (size, None)
        yield FileDifference(path, kind, old, new, _whole(size or 0), True, ())
        return
    if _is_same(before, after):
        return
    spans = _ranges(path, sides, before, after)
    whole = _whole(max(before.size or 0, after.size or 0))
    ranges = whole if spans is None else spans
    layouts = (sides[0].layout(path), sides[1].layout(path))
    yield FileDifference(
        path,
        "changed",
        before.size,
        after.size,
        _named(ranges, layouts),
        spans is not None,
        _tensors(ranges, layouts),
    )


def _is_same(before: ShardEntry, after: ShardEntry) -> bool:
    """By shard roots, or where one side has none, by whole-file digests."""
    if before.root is not None and after.root is not None:
        return before.root == after.root and before.size == after.size
    return before.file_digest is not None and before.file_digest == after.file_digest


def _ranges(
    path: str, sides: tuple[Side, Side], before: ShardEntry, after: ShardEntry
) -> tuple[DamagedRange, ...] | None:
    """Which spans differ; None where one side has no tree."""
    nodes = [side.nodes(path) for side in sides]
    one, other = nodes
    if one is None or other is None:
        return None
    longest = max(before.size or 0, after.size or 0)
    common = min(len(one), len(other)) // DIGEST_BYTES
    count = max(len(one), len(other)) // DIGEST_BYTES
    spans = (*_differing(one, other, 0, common), *range(common, count))
    return join_ranges(
        DamagedRange(span * SPAN_BYTES, min((span + 1) * SPAN_BYTES, longest)) for span in spans
    )


def _differing(one: bytes, other: bytes, first: int, end: int) -> Iterator[int]:
    """Numbers of the nodes that differ; halves that are equal are not looked into."""
    low, high = first * DIGEST_BYTES, end * DIGEST_BYTES
    if one[low:high] == other[low:high]:
        return
    if end - first == 1:
        yield first
        return
    middle = (first + end) // 2
    yield from _differing(one, other, first, middle)
    yield from _differing(one, other, middle, end)


def _whole(size: int) -> tuple[DamagedRange, ...]:
    return (DamagedRange(0, size),) if size else ()


def _named(
    ranges: tuple[DamagedRange, ...], layouts: tuple[Layout | None, Layout | None]
) -> tuple[DamagedRange, ...]:
    """Add the names of tensors, of the later side where both are known."""
    layout = layouts[1] or layouts[0]
    if layout is None:
        return ranges
    return tuple(
        DamagedRange(one.start, one.end, formats.tensors_in(layout, one.start, one.end))
        for one in ranges
    )


def _tensors(
    ranges: tuple[DamagedRange, ...], layouts: tuple[Layout | None, Layout | None]
) -> tuple[TensorDifference, ...]:
    before, after = layouts
    if before is None or after is None:
        return ()
    old = {tensor.name: tensor for tensor in before.tensors}
    new = {tensor.name: tensor for tensor in after.tensors}
    touched = {name for one in ranges for name in formats.tensors_in(after, one.start, one.end)}
    found = [TensorDifference(name, "removed") for name in old if name not in new]
    for name, tensor in new.items():
        earlier = old.get(name)
        if earlier is None:
            found.append(TensorDifference(name, "added"))
        elif (earlier.dtype, earlier.shape) != (tensor.dtype, tensor.shape):
            found.append(TensorDifference(name, "reshaped"))
        elif earlier.start != tensor.start:
            found.append(TensorDifference(name, "moved"))
        elif name in touched:
            found.append(TensorDifference(name, "changed"))
    return tuple(sorted(found, key=lambda one: one.name))
