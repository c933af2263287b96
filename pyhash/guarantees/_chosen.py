# SPDX-License-Identifier: Apache-2.0
"""Chosen spans of an opened checkpoint, hashed now and compared with the signed tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyhash import damage, hashing
from pyhash.errors import DamagedRange, Finding
from pyhash.guarantees.content import named_ranges, where
from pyhash.merkle import DIGEST_BYTES, SPAN_BYTES
from pyhash.opening import Opened
from pyhash.span_hashing import Run, hash_runs


def compare_runs(
    opened: Opened,
    signed_nodes: Sequence[memoryview],
    chosen: Mapping[int, Sequence[Run]],
    options: hashing.Options,
) -> list[Finding]:
    """Hash runs and say which spans differ.

    Args:
        opened: The checkpoint after steps 1 to 4.
        signed_nodes: Span nodes of every shard, folded to the signed roots.
        chosen: Number of a shard -> its runs.
        options: How to hash.

    Returns:
        One finding for each shard with a damaged span.

    Raises:
        As ``hash_runs``.
    """
    found = []
    for index, nodes in hash_runs(opened.listing, chosen, options).items():
        damaged = [
            one
            for run, own in zip(chosen[index], nodes, strict=True)
            for one in _damaged(run, own, signed_nodes[index])
        ]
        if damaged:
            ranges = named_ranges(opened, index, damage.join_ranges(damaged))
            path = opened.listing.files[index].path
            found.append(Finding("digest", path, where(ranges), ranges=ranges))
    return found


def _damaged(run: Run, nodes: bytes, signed: memoryview) -> list[DamagedRange]:
    found = []
    for offset in range(0, len(nodes), DIGEST_BYTES):
        start = run.start + offset // DIGEST_BYTES * SPAN_BYTES
        place = start // SPAN_BYTES * DIGEST_BYTES
        if nodes[offset : offset + DIGEST_BYTES] != signed[place : place + DIGEST_BYTES]:
            found.append(DamagedRange(start, min(start + SPAN_BYTES, run.end)))
    return found
