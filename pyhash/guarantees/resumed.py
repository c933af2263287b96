# SPDX-License-Identifier: Apache-2.0
"""A full pass that can be interrupted and goes on where it was.

What an earlier run hashed counts while the identity of its file is the same, so the result is a
``receipt``, and ``content`` only where every byte was hashed in this run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pyhash import hashing
from pyhash.errors import Finding, FormatError
from pyhash.guarantees._base import Compared, Guarantee
from pyhash.guarantees.content import describe_damage, doubts_about
from pyhash.merkle import DIGEST_BYTES, SPAN_BYTES, shard_root, span_count
from pyhash.opening import Opened
from pyhash.receipts import (
    Progress,
    Store,
    Stretch,
    bind,
    flush_files,
    is_settled,
    open_progress,
    settle,
)
from pyhash.signed_tree import load_signed_nodes
from pyhash.span_hashing import Run, hash_runs

# Hashed between two notes of progress: what an interruption can cost, bytes.
BATCH_BYTES = 1 << 30

Batch = dict[int, list[Run]]


def resume(store: Store, *, batch_bytes: int = BATCH_BYTES) -> Guarantee:
    """Return the guarantee of a full pass that goes on where an earlier one was interrupted.

    Raises nothing.

    Args:
        store: Where progress is kept. It is removed when the pass comes to an answer.
        batch_bytes: Bytes to hash between two notes of progress, whole spans of 1 MiB.

    Returns:
        For ``verify(..., guarantee=...)``. Comparing raises FormatError where the bundle is another
        tool's; ReceiptError where another process is at it, the record of progress is not its
        owner's alone, or the system does not say which boot this is; LimitError or WriteError where
        progress is too large or cannot be written; and as ``hash_runs``.
    """

    def compare(opened: Opened, options: hashing.Options) -> Compared:
        if opened.manifest.root is None:
            raise FormatError(
                f"{opened.location}: the bundle was made by another tool, which signs no trees;"
                " a verification of it cannot be resumed",
                opened.location,
            )
        flush_files(opened.listing)
        began_ns = settle(opened.listing)
        with open_progress(
            store, bind(opened.location, opened.manifest, opened.key_hint)
        ) as progress:
            nodes, done = _restore(opened, progress)
            size = _hash_rest(opened, options, progress, nodes, (done, began_ns, batch_bytes))
            wrong = _mismatches(opened, nodes)
            progress.remove()
        return _compared(opened, wrong, size, sum(done.values()) * SPAN_BYTES)

    return Guarantee("receipt", compare)


def _restore(opened: Opened, progress: Progress) -> tuple[list[bytearray], dict[int, int]]:
    """Return the span nodes of each shard, filled in from its start as far as they are known, and
    the number of known spans of each shard that has some.
    """
    listed = opened.listing.files
    nodes = [bytearray(DIGEST_BYTES * span_count(file.identity.size)) for file in listed]
    number = {file: index for index, file in enumerate(listed)}
    done: dict[int, int] = {}
    for one in progress.found:
        index = number.get(one.file)
        # Stretches of a file follow each other; one that does not was hashed by nobody we know.
        if index is not None and one.run.start == done.get(index, 0) * SPAN_BYTES:
            first = done.get(index, 0) * DIGEST_BYTES
            nodes[index][first : first + len(one.nodes)] = one.nodes
            done[index] = done.get(index, 0) + len(one.nodes) // DIGEST_BYTES
    return nodes, done


def _hash_rest(
    opened: Opened,
    options: hashing.Options,
    progress: Progress,
    nodes: list[bytearray],
    how: tuple[dict[int, int], int, int],
) -> int:
    """Hash what is not known yet, batch by batch; returns how many bytes that was."""
    done, began_ns, batch_bytes = how
    listed = opened.listing.files
    todo = list(_batches(opened, done, batch_bytes))
    total = sum(run.size for batch in todo for runs in batch.values() for run in runs)
    size = 0
    for batch in todo:
        hashed = hash_runs(opened.listing, batch, _shifted(options, size, total))
        stretches = []
        for index, runs in batch.items():
            for run, own in zip(runs, hashed[index], strict=True):
                first = run.start // SPAN_BYTES * DIGEST_BYTES
                nodes[index][first : first + len(own)] = own
                size += run.size
                stretches.append(Stretch(listed[index], run, own))
        progress.add([one for one in stretches if is_settled(one.file.identity, began_ns)])
    return size


def _batches(opened: Opened, done: dict[int, int], batch_bytes: int) -> Iterator[Batch]:
    """Cut what is left into batches of about the same size, in order of the files."""
    batch: Batch = {}
    room = batch_bytes
    for index, file in enumerate(opened.listing.files):
        start = done.get(index, 0) * SPAN_BYTES
        while start < file.identity.size:
            end = min(start + room, file.identity.size)
            batch.setdefault(index, []).append(Run(start, end))
            room -= -(-(end - start) // SPAN_BYTES) * SPAN_BYTES
            start = end
            if room <= 0:
                yield batch
                batch, room = {}, batch_bytes
    if batch:
        yield batch


def _shifted(options: hashing.Options, before: int, total: int) -> hashing.Options:
    """The same options, with the progress of a batch told as that of the whole."""
    report = options.progress
    if report is None:
        return options
    return replace(options, progress=lambda now, _: report(before + now, total))


def _mismatches(opened: Opened, nodes: list[bytearray]) -> list[Finding]:
    shards = opened.manifest.shards
    roots = [shard_root(bytes(own)) for own in nodes]
    wrong = [index for index, root in enumerate(roots) if root != shards[index].root]
    signed = load_signed_nodes(opened.manifest, opened.tree_path) if wrong else ()
    return [
        describe_damage(
            opened,
            index,
            hashing.ShardDigest(
                opened.listing.files[index].identity.size, roots[index], bytes(nodes[index])
            ),
            signed[index] if signed else b"",
        )
        for index in wrong
    ]


def _compared(opened: Opened, wrong: list[Finding], size: int, at_most_before: int) -> Compared:
    findings = (*wrong, *doubts_about(opened, wrong))
    before = opened.size - size if at_most_before else 0
    details = (("hashed_earlier_bytes", before), ("hashed_now_bytes", size))
    if not before:
        return Compared(findings, size, "", details, "content")
    text = f"{before} of {opened.size} bytes were hashed by an interrupted run; their files have"
    return Compared(findings, size, f"{text} not changed since", details)
