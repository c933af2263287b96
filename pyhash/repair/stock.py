# SPDX-License-Identifier: Apache-2.0
"""Which spans of which shards are not what was signed. Reads only; fetches and writes nothing.

A span that the drive will not give counts as damaged: writing it anew is what makes a drive
replace a bad sector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pyhash import errors, files, hashing
from pyhash.manifest import Manifest, ShardEntry
from pyhash.merkle import DIGEST_BYTES, SPAN_BYTES, span_count


@dataclass(frozen=True, slots=True)
class Damage:
    """One shard that is not what was signed.

    Attributes:
        path: The shard.
        size: Its signed size in bytes.
        kind: ``damaged``, ``missing``, ``truncated`` or ``too long``.
        spans: Numbers of the spans that differ, are not there, or cannot be read; ascending.
        nodes: The signed span nodes of the whole shard.
        root: Its signed root.
        file: The file as it was listed; None: there is none.
    """

    path: str
    size: int
    kind: str
    spans: tuple[int, ...]
    nodes: memoryview
    root: bytes
    file: files.CheckpointFile | None

    @property
    def bytes_wanted(self) -> int:
        """Bytes of those spans. Raises nothing."""
        return sum(min(SPAN_BYTES, self.size - span * SPAN_BYTES) for span in self.spans)


def find_damage(
    manifest: Manifest,
    nodes: Sequence[memoryview],
    listing: files.Listing,
    options: hashing.Options,
) -> list[Damage]:
    """Hash every signed file that is there, and return what is wrong with which shard.

    Args:
        manifest: What was signed.
        nodes: The span nodes of each shard, folded to the signed roots.
        listing: The files that are there; others than the signed ones count for nothing.
        options: How to hash.

    Raises:
        ChangedWhileReadError: A file changed meanwhile.
        ReadError, EngineError: It could not be read or hashed.
        KeyboardInterrupt: Ctrl-C; nothing is left running.
    """
    there = {file.path: file for file in listing.files}
    signed = [(shard, own) for shard, own in zip(manifest.shards, nodes, strict=True)]
    known = [shard.path for shard, _ in signed if shard.path in there]
    found = dict(zip(known, _hash(listing, [there[path] for path in known], options), strict=True))
    damage = (
        _compare(shard, own, there.get(shard.path), found.get(shard.path)) for shard, own in signed
    )
    return [one for one in damage if one is not None]


def _hash(
    listing: files.Listing, chosen: Sequence[files.CheckpointFile], options: hashing.Options
) -> list[bytes]:
    """Return the span nodes of each file; one that cannot be read as it is, span by span."""
    try:
        digests = hashing.hash_listing(replace(listing, files=tuple(chosen)), options=options)
        return [digest.span_nodes for digest in digests]
    except errors.ReadError as error:
        if error.errno is None:
            raise
    # Rare, as it takes a drive that fails: which file it is is found out one by one.
    return [_hash_one(listing, file, options) for file in chosen]


def _hash_one(
    listing: files.Listing, file: files.CheckpointFile, options: hashing.Options
) -> bytes:
    try:
        return hashing.hash_listing(replace(listing, files=(file,)), options=options)[0].span_nodes
    except errors.ReadError as error:
        if error.errno is None:
            raise
    with files.open_files(listing, (file,)) as (descriptor,):
        read = files.read_at(file.path, descriptor)
        size = file.identity.size
        return b"".join(
            _hash_span(read, span * SPAN_BYTES, min(size, (span + 1) * SPAN_BYTES))
            for span in range(span_count(size))
        )


def _hash_span(read: Callable[[int, int], bytes], start: int, end: int) -> bytes:
    """Return the node of one span; of one that cannot be read, what no span has."""
    try:
        return hashing.hash_buffer(read(start, end - start)).root
    except errors.ReadError:
        return bytes(DIGEST_BYTES)


def _compare(
    shard: ShardEntry,
    signed: memoryview,
    file: files.CheckpointFile | None,
    nodes: bytes | None,
) -> Damage | None:
    size = shard.size or 0
    now = b"" if nodes is None else nodes
    spans = tuple(
        span
        for span in range(span_count(size))
        if now[span * DIGEST_BYTES : (span + 1) * DIGEST_BYTES]
        != signed[span * DIGEST_BYTES : (span + 1) * DIGEST_BYTES]
    )
    kind = "missing"
    if file is not None:
        kinds = {True: "too long", False: "truncated"}
        same = file.identity.size == size
        kind = "damaged" if same else kinds[file.identity.size > size]
        if same and not spans:
            return None
    return Damage(shard.path, size, kind, spans, signed, shard.root or b"", file)
