# SPDX-License-Identifier: Apache-2.0
"""Guarantee ``content``: every byte of every shard is hashed now and compared with what is signed.

The files could change afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyhash import errors, files, hashing
from pyhash.errors import Finding
from pyhash.guarantees._base import Compared, Guarantee
from pyhash.manifest import ShardEntry, SignedRange
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
    wrong, size = compare_shards(opened, range(len(opened.listing.files)), options)
    return Compared((*wrong, *doubts_about(opened, wrong)), size, *_note(opened))


CONTENT = Guarantee("content", compare)


def _compare_ranges(
    opened: Opened, numbers: Sequence[int], options: hashing.Options
) -> tuple[list[Finding], int]:
    """Steps 5 to 7 for a bundle of another tool that signed ranges, or digests of another kind."""
    from pyhash import range_digests  # here, as its pool of threads is slow to import

    messages, expected = [], []
    for index in numbers:
        shard, file = opened.manifest.shards[index], opened.listing.files[index]
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
    return wrong, sum(opened.listing.files[index].identity.size for index in numbers)


def _whole(shard: ShardEntry) -> tuple[SignedRange, ...]:
    """A file without bytes beside signed ranges: step 3 has found it there, see ``opening``."""
    return (SignedRange(0, None, "sha256", shard.file_digest or b""),)


def _note(opened: Opened) -> tuple[str, tuple[tuple[str, object], ...]]:
    """What the signature does not speak of, where it is one over ranges."""
    empty = [shard.path for shard in opened.manifest.shards if not shard.ranges]
    if not empty or len(empty) == len(opened.manifest.shards):
        return "", ()
    text = f"{len(empty)} files without bytes, which the method of this bundle does not sign"
    return text, (("unsigned_empty_files", empty),)


def compare_shards(
    opened: Opened, numbers: Sequence[int], options: hashing.Options
) -> tuple[list[Finding], int]:
    """Hash some shards whole, and say which differ and where. Thread-safe.

    Args:
        opened: The checkpoint after steps 1 to 4.
        numbers: Which shards of its listing, ascending.
        options: How to hash.

    Returns:
        What differs, and how many bytes were hashed.

    Raises:
        As ``compare``.
    """
    shards = opened.manifest.shards
    if any(shard.ranges for shard in shards):
        return _compare_ranges(opened, numbers, options)
    digests = _hash(opened, numbers, options)  # 5, 6
    wrong = [
        (index, digest)
        for index, digest in zip(numbers, digests, strict=True)
        if _expected(shards[index]) is None
        or _expected(shards[index]) != _actual(shards[index], digest)
    ]
    nodes = _signed_nodes(opened) if wrong else ()
    found = [  # 7
        describe_damage(opened, index, digest, nodes[index] if nodes else b"")
        for index, digest in wrong
    ]
    return found, sum(digest.size for digest in digests)


def _signed_nodes(opened: Opened) -> tuple[memoryview, ...]:
    from pyhash.signed_tree import load_signed_nodes

    return load_signed_nodes(opened.manifest, opened.tree_path)


def doubts_about(opened: Opened, wrong: Sequence[Finding]) -> list[Finding]:
    """Return what the small files seem to lead a loader to. Raises nothing.

    Args:
        opened: The checkpoint.
        wrong: Which files are damaged: what those seem to say is left out, nobody signed that.
    """
    damaged = {finding.path for finding in wrong}
    return [doubt for doubt in opened.doubts if doubt.path not in damaged]


def _hash(
    opened: Opened, numbers: Sequence[int], options: hashing.Options
) -> list[hashing.ShardDigest]:
    """Steps 5 and 6: all shards over all cores; a file that changes meanwhile is refused."""
    own = opened.manifest.root is not None
    chosen = tuple(opened.listing.files[index] for index in numbers)
    listing = replace(opened.listing, files=chosen)
    try:
        return hashing.hash_listing(listing, options=options, span_nodes=own, file_digests=not own)
    except errors.TruncatedError as error:
        finding = Finding("changed", error.path or "", "became shorter while it was being read")
        raise errors.ChangedWhileReadError(
            f"{finding.path}: {finding.message}", (finding,)
        ) from error


def _expected(shard: ShardEntry) -> bytes | None:
    return shard.root if shard.root is not None else shard.file_digest


def _actual(shard: ShardEntry, digest: hashing.ShardDigest) -> bytes | None:
    return digest.root if shard.root is not None else digest.file_digest


def describe_damage(
    opened: Opened,
    index: int,
    digest: hashing.ShardDigest,
    signed_nodes: memoryview | bytes,
) -> Finding:
    """Say where one shard differs, as far as the tree file knows. Raises nothing.

    Args:
        opened: The checkpoint.
        index: Which shard.
        digest: What it hashed to.
        signed_nodes: What the tree file has for it; empty where there is none.
    """
    shard, file = opened.manifest.shards[index], opened.listing.files[index]
    ranges: tuple[errors.DamagedRange, ...] = ()
    if shard.root is not None and signed_nodes:
        from pyhash import damage

        ranges = damage.damaged_ranges(shard.root, signed_nodes, digest.span_nodes, digest.size)
    ranges = named_ranges(opened, index, ranges)
    expected, actual = _expected(shard) or b"", _actual(shard, digest) or b""
    return Finding("digest", file.path, where(ranges), expected.hex(), actual.hex(), ranges)


def named_ranges(
    opened: Opened, index: int, ranges: tuple[errors.DamagedRange, ...]
) -> tuple[errors.DamagedRange, ...]:
    """Add the tensors that own the damaged ranges of a shard, where they can be read.

    Raises nothing: the answer is "no" already, and a failure only costs it the names.
    """
    from pyhash import damage  # here, as it knows every format, and mostly there is none

    file = opened.listing.files[index]
    try:
        with files.open_files(opened.listing, (file,)) as (descriptor,):
            return damage.name_tensors(ranges, file.path, descriptor, file.identity.size)
    except (errors.CheckError, errors.ChangedWhileReadError):
        return ranges


def where(ranges: tuple[errors.DamagedRange, ...]) -> str:
    """Return a sentence about damaged ranges, the first three of them. Raises nothing."""
    if not ranges:
        return "other bytes than the signed ones (no usable tree file says where)"
    text = ", ".join(f"[{one.start}, {one.end})" for one in ranges[:3])
    more = f" and {len(ranges) - 3} more ranges" if len(ranges) > 3 else ""
    return f"other bytes than the signed ones in {text}{more}"
