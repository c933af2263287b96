# SPDX-License-Identifier: Apache-2.0
"""Guarantee ``content``: every byte of every shard is hashed now and compared with what is signed.

The files could change afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyhash import damage, errors, files, hashing, range_digests, signed_tree
from pyhash.errors import Finding
from pyhash.guarantees._base import Compared, Guarantee
from pyhash.manifest import Manifest, ShardEntry, SignedRange
from pyhash.opening import Opened


def compare(opened: Opened, options: hashing.Options) -> Compared:
    """Hash all shards over all cores, and say which differ and where. Thread-safe.

    Args:
        opened: The checkpoint after steps 1 to 4.
        options: How to hash.

    Returns:
        What differs; ``size`` is that of the whole checkpoint.

    Raises:
        ChangedWhileReadError: A file changed meanwhile.
        ReadError, EngineError: It could not be read or hashed.
        KeyboardInterrupt: Ctrl-C; nothing is left running.
    """
    if any(shard.ranges for shard in opened.manifest.shards):
        return _compare_ranges(opened, options)
    digests = _hash(opened.manifest, opened.listing, options)  # 5, 6
    wrong = _mismatches(opened.manifest, opened.listing, digests, opened.tree_path)  # 7
    return Compared(
        (*wrong, *_of_whole_files(opened.doubts, wrong)), sum(digest.size for digest in digests)
    )


CONTENT = Guarantee("content", compare)


def _compare_ranges(opened: Opened, options: hashing.Options) -> Compared:
    """Steps 5 to 7 for a bundle of another tool that signed ranges, or digests of another kind."""
    messages, expected = [], []
    for index, (shard, file) in enumerate(
        zip(opened.manifest.shards, opened.listing.files, strict=True)
    ):
        for one in shard.ranges or _whole(shard):
            span = None if one.end is None else ((one.start, one.end),)
            messages.append(range_digests.Message(index, (one.algorithm,), span))
            expected.append((file, one))
    actual = range_digests.hash_messages(opened.listing, messages, options=options)
    wrong = []
    for (file, one), found in zip(expected, actual, strict=True):
        if found[one.algorithm] != one.digest:
            end = file.identity.size if one.end is None else one.end
            damaged = (errors.DamagedRange(one.start, end),) if one.end is not None else ()
            digests = (one.digest.hex(), found[one.algorithm].hex())
            where = f"other bytes than the signed ones in [{one.start}, {end})"
            wrong.append(Finding("digest", file.path, where, *digests, damaged))
    size = sum(file.identity.size for file in opened.listing.files)
    return Compared((*wrong, *_of_whole_files(opened.doubts, wrong)), size, *_note(opened))


def _whole(shard: ShardEntry) -> tuple[SignedRange, ...]:
    """A file without bytes beside signed ranges: step 3 has found it there, see ``opening``."""
    return (SignedRange(0, None, "sha256", shard.file_digest or b""),)


def _note(opened: Opened) -> tuple[str, tuple[tuple[str, object], ...]]:
    """What the signature does not speak of."""
    empty = [shard.path for shard in opened.manifest.shards if not shard.ranges]
    if not empty:
        return "", ()
    text = f"{len(empty)} files without bytes, which the method of this bundle does not sign"
    return text, (("unsigned_empty_files", empty),)


def _hash(
    manifest: Manifest, listing: files.Listing, options: hashing.Options
) -> list[hashing.ShardDigest]:
    """Steps 5 and 6: all shards over all cores; a file that changes meanwhile is refused."""
    own = manifest.root is not None
    try:
        return hashing.hash_listing(listing, options=options, span_nodes=own, file_digests=not own)
    except errors.TruncatedError as error:
        finding = Finding("changed", error.path or "", "became shorter while it was being read")
        raise errors.ChangedWhileReadError(
            f"{finding.path}: {finding.message}", (finding,)
        ) from error


def _mismatches(
    manifest: Manifest,
    listing: files.Listing,
    digests: list[hashing.ShardDigest],
    tree_path: str,
) -> list[Finding]:
    """Steps 5 and 7: which shards differ, and where."""
    wrong = [
        (index, shard)
        for index, (shard, digest) in enumerate(zip(manifest.shards, digests, strict=True))
        if _expected(shard) is None or _expected(shard) != _actual(shard, digest)
    ]
    if not wrong:
        return []
    nodes = signed_tree.load_signed_nodes(manifest, tree_path)
    return [
        _describe(shard, digests[index], nodes[index] if nodes else b"", listing, index)
        for index, shard in wrong
    ]


def _of_whole_files(doubts: Sequence[Finding], wrong: Sequence[Finding]) -> list[Finding]:
    """Leave out what a damaged file seems to say: nobody signed that."""
    damaged = {finding.path for finding in wrong}
    return [doubt for doubt in doubts if doubt.path not in damaged]


def _expected(shard: ShardEntry) -> bytes | None:
    return shard.root if shard.root is not None else shard.file_digest


def _actual(shard: ShardEntry, digest: hashing.ShardDigest) -> bytes | None:
    return digest.root if shard.root is not None else digest.file_digest


def _describe(
    shard: ShardEntry,
    digest: hashing.ShardDigest,
    signed_nodes: memoryview | bytes,
    listing: files.Listing,
    index: int,
) -> Finding:
    file = listing.files[index]
    ranges: tuple[errors.DamagedRange, ...] = ()
    if shard.root is not None and signed_nodes:
        ranges = damage.damaged_ranges(shard.root, signed_nodes, digest.span_nodes, digest.size)
    try:
        with files.open_files(listing, (file,)) as (descriptor,):
            ranges = damage.name_tensors(ranges, file.path, descriptor, digest.size)
    except (errors.CheckError, errors.ChangedWhileReadError):
        pass  # the answer is "no" already; this only costs it the names
    expected, actual = _expected(shard) or b"", _actual(shard, digest) or b""
    return Finding("digest", file.path, _where(ranges), expected.hex(), actual.hex(), ranges)


def _where(ranges: tuple[errors.DamagedRange, ...]) -> str:
    if not ranges:
        return "other bytes than the signed ones (no usable tree file says where)"
    text = ", ".join(f"[{one.start}, {one.end})" for one in ranges[:3])
    more = f" and {len(ranges) - 3} more ranges" if len(ranges) > 3 else ""
    return f"other bytes than the signed ones in {text}{more}"
